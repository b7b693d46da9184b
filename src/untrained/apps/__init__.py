"""Doors to the outside: here names become objects."""
