"""Switches of the process, changed for the length of a block and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def quiet_numbers(threads: int = 1) -> Iterator[None]:
    """One thread unless more are asked for, denormal numbers flushed to zero; both as before afterwards.

    Vanishing recurrent gradients are denormal and make CPUs crawl (measured: a backward pass of 7.7 s
    against 0.3 s). The flag belongs to a thread, and torch's helper threads cannot be reached, hence one
    thread; scoring in parallel is done by processes. With more threads only this one flushes.
    """
    before, flushed = torch.get_num_threads(), _flushing()
    if before != threads:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        if before != threads:
            torch.set_num_threads(before)


def _flushing() -> bool:
    """Whether this thread flushes already; torch has a setter only, so a denormal is tried."""
    return float(torch.tensor(1e-40, dtype=torch.float32) * 0.5) == 0.0
