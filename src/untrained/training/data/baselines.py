"""What counting pairs of tokens gives: the loss that a language model has to beat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from untrained.training.data.language import Language, Tokens

BLOCK = 2**22  # tokens that are counted at a time
LARGEST = 4_096  # vocabulary up to which pairs are counted in a table
PRIORS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0)  # tokens that the prior of a row is worth

Counts = npt.NDArray[np.int64]


def baselines(data: Language) -> dict[str, float]:
    """Held-out loss of two models that only count, in nats a token.

    Formula: unigram: -ln p(b), p(b) = (n(b) + 1) / (N + V)
             bigram:  -ln p(b | a), p(b | a) = (n(ab) + m p(b)) / (n(a) + m), with the m of `PRIORS` that is
                      best on the held-out text, which flatters it
    Shapes:  the bigram is left out for vocabularies above 4,096
    """
    words = data.tokenizer.vocabulary
    ones = _singles(data.train, words)
    single = (ones + 1.0) / (ones.sum() + words)
    seen = _singles(data.held_out, words)
    found = {"unigram": float(-(seen * np.log(single)).sum() / max(1, seen.sum()))}
    if words <= LARGEST:
        found["bigram"] = _bigram(_pairs(data.train, words), _pairs(data.held_out, words), single)
    return found


def _bigram(train: Counts, held_out: Counts, single: npt.NDArray[np.float64]) -> float:
    """train, held_out: (V, V) -> nats"""
    a, b = np.nonzero(held_out)
    times, both, first = held_out[a, b], train[a, b], train.sum(1)[a]
    losses = [-(times * np.log((both + m * single[b]) / (first + m))).sum() / times.sum() for m in PRIORS]
    return float(min(losses))


def _singles(tokens: Tokens, words: int) -> Counts:
    found = np.zeros(words, np.int64)
    for first in range(0, len(tokens), BLOCK):
        found += np.bincount(tokens.ids[first : first + BLOCK], minlength=words)
    return found


def _pairs(tokens: Tokens, words: int) -> Counts:
    found = np.zeros(words * words, np.int64)
    for first in range(0, len(tokens) - 1, BLOCK):
        ids = np.asarray(tokens.ids[first : first + BLOCK + 1], dtype=np.int64)
        found += np.bincount(ids[:-1] * words + ids[1:], minlength=words * words)
    return found.reshape(words, words)
