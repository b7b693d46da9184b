"""Whether a model can take what it is shown: tokens, positions, and none that come later."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from untrained.core.errors import UsageError
from untrained.training.data.tokenizer import Tokenizer
from untrained.training.recipe import logits


def words(model: nn.Module) -> int | None:
    """Tokens that a model knows, where it says so."""
    config: Any = getattr(model, "config", None)
    said = getattr(model, "vocabulary", None) or getattr(config, "vocab_size", None)
    return said if isinstance(said, int) else None


def positions(model: nn.Module) -> int | None:
    """The longest sequence of a model with learned positions, where it says so."""
    table = getattr(model, "positions", None)
    if isinstance(table, nn.Embedding):
        return table.num_embeddings
    config: Any = getattr(model, "config", None)
    said = getattr(config, "max_position_embeddings", None)
    if not isinstance(said, int):
        return None
    # RoBERTa counts positions from behind the padding's id.
    offset = int(config.pad_token_id or 0) + 1 if config.model_type == "roberta" else 0
    return said - offset


def check_vocabulary(tokenizer: Tokenizer, model: nn.Module, length: int) -> None:
    """Raises UsageError for a tokenizer with more tokens, or sequences with more, than a model knows."""
    known, most = words(model), positions(model)
    if known is not None and tokenizer.vocabulary > known:
        raise UsageError(
            f"the tokenizer has {tokenizer.vocabulary:,} tokens, and the model knows {known:,}.\n"
            f"  for an architecture: --scale paper:vocabulary={tokenizer.vocabulary}\n"
            f'  for a Hugging Face model: "vocab_size": {tokenizer.vocabulary} in its config.json, without'
            " weights\n"
            "  or a tokenizer with fewer: --tokenizer bytes"
        )
    if most is not None and length > most:
        raise UsageError(
            f"sequences of {length} tokens, and the model has {most} positions.\n"
            f"  take shorter ones: --recipe NAME:length={most}"
        )


def _device(model: nn.Module) -> torch.device:
    """Where a model is; raises UsageError for one without weights."""
    weight = next(model.parameters(), None)
    if weight is None:
        raise UsageError(f"{type(model).__name__} has no weights to train")
    return weight.device


def check_causal(model: nn.Module, length: int) -> None:
    """Raises UsageError for a model that sees later tokens: it would read the answer."""
    tokens = torch.zeros(2, min(length, 8), dtype=torch.long, device=_device(model))
    tokens[1, -1] = 1
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            first, second = logits(model(tokens)).float()[:, :-1]
    except UsageError:
        raise
    except Exception as error:  # somebody's module may raise anything
        raise UsageError(
            f"{type(model).__name__} does not map tokens (B, T) to logits (B, T, V): {type(error).__name__}:"
            f" {str(error).partition(chr(10))[0]}"
        ) from error
    finally:
        model.train(training)
    if first.numel() and float((first - second).abs().max()) > 1e-5 * float(first.abs().max()):
        raise UsageError(
            f"{type(model).__name__} sees the tokens that follow, so it cannot be trained to tell them.\n"
            "  an encoder: --recipe masked_lm"
        )
