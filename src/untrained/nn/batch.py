"""What a network is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from untrained.core.errors import BadText
from untrained.core.text import Corpus


@dataclass(frozen=True)
class Batch:
    """Token ids and the ids that follow them."""

    tokens: Tensor  # (B, T), int64
    targets: Tensor  # (B, T), int64

    @property
    def shape(self) -> tuple[int, int]:
        return self.tokens.shape[0], self.tokens.shape[1]

    def to(self, device: torch.device | str) -> Batch:
        return Batch(self.tokens.to(device), self.targets.to(device))


def from_text(corpus: Corpus, *, vocabulary: int, sequences: int, length: int, seed: int = 0) -> Batch:
    """The batch of a text; another seed looks at another window of it."""
    window = corpus.columns(vocabulary, sequences, length + 1, shift=seed * 9_973)
    ids = torch.from_numpy(window)
    return Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())


def from_ids(ids: Sequence[int], *, sequences: int, length: int, seed: int = 0, source: str = "") -> Batch:
    """As `from_text`, of a text whose tokens are known; raises BadText where there are too few."""
    column = len(ids) // sequences
    if column < length + 1:
        raise BadText(
            f"{source or 'the text'} is too short: {len(ids):,} tokens, and {sequences} sequences of"
            f" {length} take {sequences * (length + 1):,}.\n  give a longer text: --text FILE"
        )
    start = seed * 9_973 % (column - length)
    table = torch.tensor(ids[: column * sequences]).view(sequences, column)[:, start : start + length + 1]
    return Batch(table[:, :-1].contiguous(), table[:, 1:].contiguous())
