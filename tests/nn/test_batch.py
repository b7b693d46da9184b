"""What a network is shown: words of a text, and the words that follow them."""

from __future__ import annotations

import torch

from untrained.core.text import Corpus, load
from untrained.nn.batch import from_text


def test_targets_are_the_words_that_follow():
    found = from_text(load(), vocabulary=500, sequences=7, length=11, seed=2)
    assert found.shape == (7, 11)
    assert found.tokens.dtype == found.targets.dtype == torch.int64
    assert torch.equal(found.tokens[:, 1:], found.targets[:, :-1])
    assert not torch.equal(found.tokens, found.targets)
    assert int(found.tokens.min()) >= 0
    assert int(found.tokens.max()) < 500


def test_the_text_is_read_down_its_columns():
    words = Corpus(" ".join("abcdefghij"), "letters")
    found = from_text(words, vocabulary=100, sequences=2, length=4)
    ranks = {letter: i for i, letter in enumerate("abcdefghij", start=1)}  # equally frequent: alphabetical
    assert found.tokens.tolist() == [[ranks[c] for c in "abcd"], [ranks[c] for c in "fghi"]]
    assert found.targets.tolist() == [[ranks[c] for c in "bcde"], [ranks[c] for c in "ghij"]]


def test_another_seed_looks_at_another_window():
    windows = [from_text(load(), vocabulary=2_000, sequences=50, length=35, seed=s).tokens for s in range(6)]
    assert len({w.numpy().tobytes() for w in windows}) == 6
    again = from_text(load(), vocabulary=2_000, sequences=50, length=35, seed=3)
    assert torch.equal(again.tokens, windows[3])
