"""How long a text is looked at in one piece; loads no torch, so that costs can be counted without it."""

from __future__ import annotations

SPAN = 64  # positions whose cosformer weights are formed at once; what was before them is one matrix
