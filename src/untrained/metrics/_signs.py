"""Which units a text switches on; shared by the proxies that compare such patterns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.nn.probe import Probe

Bytes = npt.NDArray[np.uint8]


def signs(probe: Probe) -> list[Tensor]:
    """For each layer that has any, which units are on at each word: (B, T, units) of booleans.

    The role `preactivation` where the network has it (feed-forward layers, before the nonlinearity), else
    `activation` (recurrent layers, after it).
    """
    role = "preactivation" if "preactivation" in probe.roles else "activation"
    length = probe.batch.shape[1]
    found = [_of_layer([t.detach() > 0 for t in layer], length) for layer in probe.taps(role) if layer]
    if not found:
        raise MeasurementFailed("the network has no nonlinearity whose signs could be read")
    return found


def sequence_signs(probe: Probe) -> list[Tensor]:
    """As `signs`, one row a sequence: (B, T * units). Raises MeasurementFailed where there is only one."""
    if probe.batch.shape[0] < 2:
        raise MeasurementFailed("needs at least 2 sequences to compare, the batch has 1")
    return [on.flatten(1) for on in signs(probe)]


def _of_layer(on: list[Tensor], length: int) -> Tensor:
    if on[0].dim() == 3:  # (B, T, F), one a feed-forward layer
        return torch.cat(on, -1)
    steps = torch.stack(on)  # (T * nodes, B, H)
    steps = steps.reshape(length, -1, *steps.shape[1:])  # (T, nodes, B, H)
    return steps.permute(2, 0, 1, 3).flatten(2)


def packed(rows: Tensor) -> Bytes:
    """Rows of booleans (n, m) as rows of bytes (n, m / 8), eight signs in each."""
    return np.packbits(rows.cpu().numpy(), axis=1)


def patterns(rows: Bytes) -> set[bytes]:
    """The distinct rows."""
    whole = np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")
    return set(whole.ravel().tolist())
