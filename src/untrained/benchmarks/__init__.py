"""Tables of trained architectures, and the files they are read from."""

from pathlib import Path

from untrained.benchmarks._data import Check, cache, folder, get, verify

SHIPPED = Path(__file__).with_name("tables")  # our own tables, and the tokenizer that they were made with

__all__ = ["SHIPPED", "Check", "cache", "folder", "get", "verify"]
