from __future__ import annotations

from torch import Tensor

from untrained.core.errors import UsageError
from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import by_layer
from untrained.metrics._principal import variances
from untrained.nn.probe import Probe


@proxy(needs="preactivation")
def w_pca(probe: Probe, *, eta: float = 0.99) -> Parts:
    """Parameters times the number of directions that the feed-forward layers use.

    Formula: P * sum over feed-forward layers of k, P the number of parameters, k the smallest number of
        principal components that hold more than `eta` of the variance of the layer's units before the
        nonlinearity, over all words of the batch
    Shapes:  tokens (B, T) -> units (B * T, F) -> float; parts `components` (the sum of k), `layer1`, ...
    Cost:    1 forward, 1 eigen-decomposition of min(B * T, F) squared a layer
    Source:  Wang 2025 (W-PCA), arXiv:2504.15983
    Differs: none known. k cannot exceed B * T - 1, so the batch should have more words than a layer has
        units. A recurrent cell has no feed-forward part, so it has no such score
    """
    if not 0 < eta < 1:
        raise UsageError(f"w_pca: eta={eta} is a share of the variance, between 0 and 1")
    layers = [float(sum(_components(t, eta) for t in layer)) for layer in probe.taps("preactivation")]
    parameters = probe.count("params", lambda model: sum(w.numel() for w in model.parameters()))
    return Parts(parameters * sum(layers), {"components": sum(layers), **by_layer(layers)})


def _components(units: Tensor, eta: float) -> int:
    """Principal components of (B, T, F) that hold more than `eta` of the variance; 0 where there is none."""
    shares = variances(units.detach().flatten(0, 1)).flip(0).cumsum(0)
    if float(shares[-1]) == 0:
        return 0
    return min(int((shares <= eta * shares[-1]).sum()) + 1, len(shares))
