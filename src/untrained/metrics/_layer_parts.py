"""Which weights of a transformer mix tokens and which are feed-forward; read by several proxies."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from untrained.core.errors import MeasurementFailed


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
