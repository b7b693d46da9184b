from __future__ import annotations

from torch import nn

from untrained.core.metric import Parts, proxy
from untrained.nn.probe import Probe
from untrained.nn.stream import stream_of

WIDEST = 1_000_000  # channels; wider networks than this do not exist


@proxy(better="higher")
def layers_then_width(probe: Probe) -> Parts:
    """The rule that asks for more layers, and among equally deep networks for the wider one.

    Formula: layers + width / 1,000,000
    Shapes:  none; where a network does not say its shape, the outputs of its layers (B, T, D)
    Cost:    no pass, else 1 forward; parts `layers` and `width`, at every scale those of the whole network
    Source:  definition; what two integers tell, for scores to be compared with
    Differs: the width of a recurrent network is that of its last layer
    """
    layers, width = _said(probe.model) or _shown(probe)
    return Parts(layers + width / WIDEST, {"layers": float(layers), "width": float(width)})


def _said(model: nn.Module) -> tuple[int, int] | None:
    if not hasattr(model, "stream"):
        return None
    stream = stream_of(model)
    return stream.depth, stream.width


def _shown(probe: Probe) -> tuple[int, int]:
    """What the outputs of the layers show; raises MissingRole where a network does not show them."""
    blocks = probe.taps("block")
    return len(blocks), blocks[-1][-1].shape[-1]
