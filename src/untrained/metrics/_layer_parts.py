"""What belongs to which layer: weights that mix tokens or feed forward, and what taps show of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from untrained.core.errors import MeasurementFailed
from untrained.nn.probe import Probe


def layer_parts(model: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """(token mixer, feed-forward part) of each layer; raises MeasurementFailed where a model has none."""
    blocks = list(getattr(model, "blocks", None) or ())
    found = [(getattr(b, "mixer", None), getattr(b, "ffn", None)) for b in blocks]
    pairs = [(m, f) for m, f in found if isinstance(m, nn.Module) and isinstance(f, nn.Module)]
    if not pairs or len(pairs) < len(found):
        raise MeasurementFailed(
            f"{type(model).__name__} does not say which weights attend and which are feed-forward.\n"
            "  give it: a ModuleList `blocks`, each with the modules `mixer` and `ffn`"
        )
    return pairs


def size(modules: Iterable[nn.Module]) -> int:
    """Parameters of some modules, shared ones counted once."""
    own = {id(w): w.numel() for m in modules for w in m.parameters()}
    return sum(own.values())


def by_layer(values: Iterable[float]) -> dict[str, float]:
    """The values as the parts `layer1`, `layer2`, ..."""
    return {f"layer{i + 1}": value for i, value in enumerate(values)}


def summed_over_taps(probe: Probe, roles: Iterable[str], measure: Callable[[Tensor], float]) -> list[float]:
    """`measure` of every tensor that the network shows under some roles, summed for each layer.

    Raises MissingRole where it shows none of them.
    """
    shown = [role for role in roles if role in probe.roles]
    if not shown:
        probe.require("block")
    probe.expect(shown)
    layers: list[float] = []
    for role in shown:
        for i, tensors in enumerate(probe.taps(role)):
            layers += [0.0] * (i + 1 - len(layers))
            layers[i] += sum(measure(x.detach()) for x in tensors)
    return layers
