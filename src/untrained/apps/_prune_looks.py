"""What pruning looks at: the text, cut in two, perplexity on its end, and time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from untrained.core.errors import BadText
from untrained.core.text import Corpus, load
from untrained.nn.numerics import quiet_numbers
from untrained.nn.pretrained.parent import Parent

HELD_OUT = 0.1  # share of a text, its end, that perplexity is told on
WINDOWS = 64  # of held-out text
LOOKED = (2, 64)  # sequences and tokens on which a fresh process is compared
WARMUP, REPEATS = 3, 20  # passes that are timed
TOGETHER = 4  # windows that run at once


@dataclass(frozen=True)
class Texts:
    """What is looked at, and what is held out."""

    calibration: Corpus
    ids: Sequence[int]
    """tokens of the calibration text"""
    held_out: Tensor  # (windows, T + 1)
    shown: Tensor  # (2, 64): what is compared between processes

    @property
    def tokens(self) -> int:
        return (self.held_out.shape[1] - 1) * self.held_out.shape[0]


def texts_of(parent: Parent, text: str | Path | None, sequences: int, length: int) -> Texts:
    """Raises BadText where the text is too short for calibration or for its held-out end."""
    whole = load(text)
    at = len(whole.text) - round(HELD_OUT * len(whole.text))
    first = Corpus(whole.text[:at], whole.source)
    ids, rest = parent.reader.ids(first.text), parent.reader.ids(whole.text[at:])
    need = sequences * (length + 1)
    if len(ids) < need or len(rest) < length + 1:
        raise BadText(
            f"{whole.name} is too short: {len(ids):,} tokens to look at and {len(rest):,} held out, and"
            f" {need:,} and {length + 1:,} are needed.\n"
            "  give a longer text: --text FILE, or look at less: --sequences 4 --length 64"
        )
    windows = [rest[i : i + length + 1] for i in range(0, len(rest) - length, length)][:WINDOWS]
    rows, steps = LOOKED
    steps = min(steps, length)
    shown = torch.tensor(ids[: rows * steps]).view(rows, steps)
    return Texts(first, ids, torch.tensor(windows), shown)


def perplexity(model: nn.Module, windows: Tensor) -> float:
    """exp of the mean cross-entropy of the next token over windows (N, T + 1)."""
    total, count = 0.0, 0
    device = next(model.parameters()).device
    with torch.inference_mode():
        for piece in torch.split(windows, 4):
            piece = piece.to(device)
            logits = model(piece[:, :-1], use_cache=False).logits
            total += float(
                nn.functional.cross_entropy(
                    logits.flatten(0, 1).float(), piece[:, 1:].flatten(), reduction="sum"
                ).double()
            )
            count += piece[:, 1:].numel()
    return math.exp(min(total / count, 700.0))


def side_by_side(models: Sequence[nn.Module], length: int) -> list[float]:
    """Milliseconds of a forward pass over `length` tokens of each model: the median of 20, one thread.

    The models take turns, so that a machine that is busy now and then is so for all of them.
    """
    tokens = torch.zeros(1, length, dtype=torch.long)
    times: list[list[float]] = [[] for _ in models]
    with quiet_numbers(), torch.inference_mode():
        for _ in range(WARMUP + REPEATS):
            for model, own in zip(models, times, strict=True):
                start = time.perf_counter()
                model(tokens, use_cache=False)
                own.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(own[WARMUP:]) for own in times]
