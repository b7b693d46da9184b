"""Torch parts with no idea of search: networks, their taps, and the probe that runs them."""
