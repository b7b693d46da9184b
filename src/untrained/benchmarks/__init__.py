"""Tables of trained architectures, and the files they are read from."""

from untrained.benchmarks._data import Check, cache, folder, get, verify

__all__ = ["Check", "cache", "folder", "get", "verify"]
