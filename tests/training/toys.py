"""Small models and texts for the tests of training."""

from __future__ import annotations

from pathlib import Path
from random import Random

import torch

from untrained.nn.transformer import LayerShape, Transformer, TransformerShape
from untrained.training.data.language import Language, from_files
from untrained.training.data.tokenizer import Bytes

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "one", "red", "dog", "run"]


def words(number: int, seed: int = 0) -> str:
    """A text of random words, of which the next letter within a word can be told."""
    rng = Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(number))


def text_file(folder: Path, number: int = 2_000) -> Path:
    path = folder / "text.txt"
    path.write_text(words(number))
    return path


def language(folder: Path, number: int = 2_000) -> Language:
    return from_files(text_file(folder, number), Bytes())


def decoder(*, seed: int = 0, causal: bool = True, vocabulary: int = 260, width: int = 16) -> Transformer:
    layers = (LayerShape(heads=2, inner=(32,)),)
    shape = TransformerShape(
        width=width, layers=layers, vocabulary=vocabulary, positions=64, causal=causal, init="fan_in"
    )
    return Transformer(shape, torch.Generator().manual_seed(seed))
