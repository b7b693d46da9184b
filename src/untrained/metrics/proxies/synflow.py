from __future__ import annotations

from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call

from untrained.core.errors import MissingRole
from untrained.core.metric import Parts, proxy
from untrained.metrics._weights import saliency, totalled
from untrained.nn.probe import Probe


@proxy()
def synflow(probe: Probe) -> Parts:
    """How much can flow through the network from one end to the other, whatever the text.

    Formula: sum over the matrices W of ||W * dR/dW||_1, R the sum of the logits of a network whose weights
        are all |w|, whose norm layers are left out, and whose embedding gives ones
    Shapes:  ones (1, T, E) -> logits (1, T, V) -> float; parts `layer1`, ...: the sums of the layers
    Cost:    1 forward, 1 backward of one sequence in double precision, on a copy of the weights
    Source:  Tanaka et al. 2020, arXiv:2006.05467; for language models LiteTransformerSearch, Javaheripi et
        al. 2022, arXiv:2203.02094: ones in place of the embedding output, raw logits, no loss
    Differs: of the weights the matrices of the body are summed. Positions, biases and the decoder stand with
        their absolute values too, as in the authors' code. Queries and keys meet in a softmax, which no
        weight can raise above 1: they have less of a share than in a network of linear layers
    """
    body, weights = _straightened(probe.model), probe.weights()
    values = {name: _absolute(t) for name, t in chain(body.named_parameters(), body.named_buffers())}
    names = {id(w): name for name, w in body.named_parameters()}
    wanted = [values[names[id(w)]].requires_grad_() for w in weights]
    with torch.no_grad():
        embedded: Tensor = probe.model.embed(probe.batch.tokens[:1])  # type: ignore[operator]
    ones = torch.ones_like(embedded, dtype=torch.float64)
    with torch.enable_grad():
        logits: Tensor = functional_call(body, values, (ones,))
        found = torch.autograd.grad(logits.sum(), wanted, allow_unused=True)
    terms = [0.0 if g is None else saliency(w.detach(), g) for w, g in zip(wanted, found, strict=True)]
    return totalled(probe, terms)


class _FromEmbedding(nn.Module):
    """A network from its embedding output to its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, embedded: Tensor) -> Tensor:
        """(B, T, E) -> (B, T, V)"""
        features = self.model.encode(embedded)  # type: ignore[operator]
        logits: Tensor = self.model.decode(features)  # type: ignore[operator]
        return logits


def _straightened(model: nn.Module) -> nn.Module:
    """A copy that shares every tensor with the model and has nothing in place of its norm layers."""
    if not hasattr(model, "decode"):
        raise MissingRole("logits", type(model).__name__, getattr(model, "roles", ()))
    shared = {id(t): t for t in chain(model.parameters(), model.buffers())}
    copy = deepcopy(model, shared)
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            # Families of transformers bring norms of their own, such as LlamaRMSNorm.
            if type(child).__name__.endswith("Norm"):
                setattr(module, name, nn.Identity())
    return _FromEmbedding(copy)


def _absolute(tensor: Tensor) -> Tensor:
    return tensor.detach().abs().double() if tensor.is_floating_point() else tensor
