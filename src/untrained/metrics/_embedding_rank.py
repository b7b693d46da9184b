"""The effective rank at which words enter a network, from shapes alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from untrained.nn.stream import Stream, WordTable

EULER = 0.5772156649015329


def zipf_masses(tables: Sequence[WordTable]) -> list[float]:
    """Share of a text that falls on each table, word r occurring in proportion to 1/r."""
    masses, seen, below = [], 0, 0.0
    for table in tables:
        seen += table.words
        harmonic = math.log(seen) + EULER  # 1 + 1/2 + ... + 1/seen
        masses.append(harmonic - below)
        below = harmonic
    return [m / below for m in masses]


def effective_rank(stream: Stream) -> float:
    """exp(entropy of the eigenvalues of C, as shares of its trace), C the covariance of an embedded word.

    Without a projection C is the identity of the width d. With them C = sum_k p_k P_k' P_k: p_k the Zipf
    mass of table k, P_k (e_k, d) with entries N(0, 1/e_k). Its spectrum for large d needs no draw: the
    resolvent trace m = tr (C + t)^-1 / d solves 1 - t m = f(m) (Silverstein and Bai 1995), with

        f(m) = sum_k p_k m / (1 + a_k m),   a_k = p_k d / e_k,

    and with ln x = int_0^oo 1/(1+t) - 1/(x+t) dt the entropy is ln d - I, I = int_0^oo 1/(1+t) - f dt. By
    parts, with M = m(t = 0), which is infinite where the tables together are narrower than d,

        I = f(M)^2 / 2M + J/2 - sum_k p_k [ln(M / (1 + a_k M)) + 1 / (1 + a_k M)],
        J = int_0^M (f(m) / m)^2 dm.

    One table: d exp(-d / 2e) for d <= e, e exp(-e / 2d) for d >= e, which is Page's entropy of a random
    state (Page 1993). Draws at d = 64 are within 2 % of it, at d = 1,024 within 0.1 %.
    """
    d = stream.width
    if not stream.projected:
        return float(d)
    # In u = 1/m everything stays finite where m does not: f = sum_k p_k / (u + a_k).
    masses = zipf_masses(stream.tables)
    terms = [(p, p * d / table.width) for p, table in zip(masses, stream.tables, strict=True)]
    u = _least(terms)
    f = sum(p / (u + a) for p, a in terms)
    j = sum(p * q * _overlap(a, b, u) for p, a in terms for q, b in terms)
    ends = sum(p * (u / (u + a) - math.log(u + a)) for p, a in terms)
    return d * math.exp(ends - f * f * u / 2 - j / 2)


def _least(terms: Sequence[tuple[float, float]]) -> float:
    """1/M: where f = 1, or 0 where f stays below 1."""
    low, high = 0.0, 1.0  # f(u = 1) <= sum_k p_k = 1
    if sum(p / a for p, a in terms) <= 1:
        return 0.0
    while low < (middle := (low + high) / 2) < high:
        if sum(p / (middle + a) for p, a in terms) > 1:
            low = middle
        else:
            high = middle
    return high


def _overlap(a: float, b: float, u: float) -> float:
    """int_0^(1/u) dm / ((1 + a m)(1 + b m))"""
    if math.isclose(a, b, rel_tol=1e-9):
        return 1 / (u + a)
    return math.log((u + a) / (u + b)) / (a - b)
