"""The switches of the process are put back, whatever happens in between."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from untrained.nn.numerics import quiet_numbers


def flushes():
    """Seen from numpy, as the flag belongs to the thread and not to torch."""
    return bool(np.float32(2e-39) * np.float32(0.5) == 0)


@pytest.fixture(params=[(2, False), (1, False), (2, True)], ids=str)
def switches(request):
    threads = torch.get_num_threads()
    torch.set_num_threads(request.param[0])
    torch.set_flush_denormal(request.param[1])
    yield request.param
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


def now():
    return torch.get_num_threads(), flushes()


def test_one_thread_and_no_denormals_inside_and_as_before_outside(switches):
    with quiet_numbers():
        assert now() == (1, True)
        with quiet_numbers():
            assert now() == (1, True)
        assert now() == (1, True)
    assert now() == switches


def test_an_exception_puts_them_back_too(switches):
    def work():
        with quiet_numbers():
            assert now() == (1, True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert now() == switches


def test_a_double_default_type_changes_nothing(switches):
    torch.set_default_dtype(torch.float64)
    try:
        with quiet_numbers():
            assert now() == (1, True)
        assert now() == switches
    finally:
        torch.set_default_dtype(torch.float32)
