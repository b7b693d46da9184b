"""A sub-network of a pretrained decoder as something that can be probed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from untrained.core.errors import MeasurementFailed
from untrained.nn.adapters.huggingface import FAMILIES, HuggingFace
from untrained.nn.pretrained.cut import Cut
from untrained.nn.pretrained.parent import Parent
from untrained.nn.pretrained.statistics import Statistics
from untrained.nn.probe import Probe


@dataclass(frozen=True)
class Origin:
    """What a sub-network was cut out of, and what stays."""

    parent: Parent
    cut: Cut

    def statistics(self, tokens: Tensor) -> Statistics:
        """Of the parent, over a text (B, T)."""
        return self.parent.statistics(tokens.cpu())


class Subnet(HuggingFace):
    """With the weights that its parent leaves it; `source` is the Hugging Face model."""

    def __init__(self, origin: Origin) -> None:
        parent = origin.parent
        super().__init__(parent.build(origin.cut), FAMILIES[parent.geometry.family])
        self.origin = origin

    def block(self, place: int, part: str) -> list[nn.Parameter]:
        """The matrices of `attention` or `mlp` of a layer of the sub-network, in the order of the family."""
        layer = dict(self._layers()[place].named_parameters())
        return [layer[of.name] for of in self.origin.parent.family.matrices(part)]


def origin_of(probe: Probe) -> Origin:
    """Where the network of a probe was cut out, without building it where that can be avoided.

    Raises MeasurementFailed for one that has no parent.
    """
    found = probe.origin() or getattr(probe.model, "origin", None)
    if isinstance(found, Origin):
        return found
    raise MeasurementFailed(
        f"{type(probe.model).__name__} has no pretrained parent to be compared with; networks of the space"
        " llm_subnet have"
    )


def subnet_of(probe: Probe) -> Subnet:
    """The network of a probe; raises MeasurementFailed for one that was not cut out of a parent."""
    origin_of(probe)
    model = probe.model
    assert isinstance(model, Subnet)
    return model
