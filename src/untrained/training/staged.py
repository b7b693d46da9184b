"""The loss of a language model that can be run in stages, without the logits that nobody asks for."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from untrained.nn import head
from untrained.nn.batch import Batch
from untrained.training.recipe import IGNORED, logits

STAGES = ("embed", "encode", "decode")

_known: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def told_loss(model: nn.Module, batch: Batch) -> Tensor | None:
    """Cross-entropy summed over what is to be told, in nats; None for a model that is not made of stages."""
    if model not in _known:
        _known[model] = in_stages(model, batch.tokens[:2, :8])
    if not _known[model]:
        return None
    whole: Any = model
    features = whole.encode(whole.embed(batch.tokens)).flatten(0, 1)
    targets = batch.targets.flatten()
    there = targets != IGNORED
    if not bool(there.all()):
        features, targets = features[there], targets[there]
    weights = [w for w in model.parameters() if w.requires_grad]
    return head.told_loss(whole.decode, features, targets, weights, int(whole.vocabulary))


def in_stages(model: nn.Module, tokens: Tensor) -> bool:
    """Whether a model is its stages one after the other, and the last one takes tokens one by one.

    That is tried: methods of these names may be anything, and somebody's forward may do more.
    """
    whole: Any = model
    if not all(callable(getattr(model, stage, None)) for stage in STAGES) or not hasattr(model, "vocabulary"):
        return False
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(tokens.device.type, enabled=False):
            features = whole.encode(whole.embed(tokens))
            parts = [whole.decode(features[:, t : t + 1]) for t in range(tokens.shape[1])]
            told, expected = torch.cat(parts, 1), logits(model(tokens))
            scale = float(expected.abs().max())
            return told.shape == expected.shape and bool(((told - expected).abs() <= 1e-3 * scale).all())
    except Exception:  # somebody's methods may raise anything; the plain way says what is wrong
        return False
    finally:
        model.train(training)
