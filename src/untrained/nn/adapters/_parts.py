"""What every transformer that is adapted says of a layer."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn


class Parts(NamedTuple):
    """The two parts of a layer."""

    mixer: nn.Module
    ffn: nn.Module
