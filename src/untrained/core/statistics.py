"""How well a score orders architectures: rank correlations, the best part, pairs of one size, intervals.

`score` is what was measured without training, `quality` what training gave; in both higher is better, so
the caller turns the sign of a loss. Arrays are one-dimensional, one value per architecture. NaN, unequal
lengths or fewer than 2 architectures raise ValueError: a failed measurement is left out and counted by the
caller, never ranked. Infinite scores are ranked like any other. A constant array orders nothing, so every
correlation with it is 0.0, never NaN. Architecture search compares many scores on one table: a p-value of
`paired_test` would be read as if only one had been tried, so it goes through `holm` before anybody sees it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from untrained.core.resampling import (
    BLOCK,
    Floats,
    PairedTest,
    check_draws,
    checked,
    clusters_of,
    how_often,
    quantiles,
    resamples,
    tested,
    within,
)

# Up to here comparing all pairs beats SciPy's O(n log n): 0.07 ms against 0.47 ms at n = 150 (one core).
ALL_PAIRS = 400
# Rows up to which a bootstrap of tau keeps the matrix of all pairs: 8 MB a thousand rows, squared.
AT_ONCE = 2_000


@dataclass(frozen=True)
class Agreement:
    """How well one score agrees with the truth; what `untrained correlate` prints."""

    n: int
    """architectures compared"""
    tau: float
    """Kendall's tau-b"""
    tau_a: float
    """Kendall's tau-a, in which a tie is no agreement; below tau-b for a score of few different values"""
    tau_low: float
    """lower end of the 95 % bootstrap interval of tau"""
    tau_high: float
    """upper end of the same interval"""
    rho: float
    """Spearman's rho"""
    tau_better_half: float
    """tau among the architectures of at least median quality"""
    top10_overlap: float
    """share of the true best 10 % found in the best 10 % by score, from 0 to 1"""
    hard_pairs: float | None
    """share, from 0 to 1, of the pairs of nearly one size put in the right order; None without such pairs"""
    hard_pairs_n: int
    """how many such pairs there are; 0 where no sizes were given"""
    partial_rho: float | None
    """Spearman's rho with the size held fixed; None where no sizes were given"""


def agreement(
    score: ArrayLike,
    quality: ArrayLike,
    *,
    size: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    min_gap: float = 0.01,
    draws: int = 1000,
    seed: int = 0,
) -> Agreement:
    """Every statistic of this file for one score; `clusters` widens the interval only (see `bootstrap`)."""
    s, q = checked(score=score, quality=quality)
    low, high = bootstrap(kendall_tau, s, q, clusters=clusters, draws=draws, seed=seed)
    share, pairs = (None, 0) if size is None else hard_pairs(s, q, size, min_gap=min_gap)
    return Agreement(
        n=len(s),
        tau=kendall_tau(s, q),
        tau_a=kendall_tau(s, q, "a"),
        tau_low=low,
        tau_high=high,
        rho=spearman_rho(s, q),
        tau_better_half=tau_better_half(s, q),
        top10_overlap=top_overlap(s, q, 0.10),
        hard_pairs=share,
        hard_pairs_n=pairs,
        partial_rho=None if size is None else partial_rho(s, q, size),
    )


def kendall_tau(score: ArrayLike, quality: ArrayLike, variant: Literal["a", "b"] = "b") -> float:
    """Concordant less discordant pairs, as a share of the pairs.

    Formula: b: (C - D) / sqrt(pairs untied in score * pairs untied in quality); a: (C - D) / all pairs
    Source:  Kendall 1945, Biometrika 33; many rows: Knight 1966 in scipy.stats.kendalltau
    """
    if variant not in ("a", "b"):
        raise ValueError(f"kendall_tau knows the variants 'a' and 'b', not {variant!r}.")
    s, q = checked(score=score, quality=quality)
    tau, untied = _tau_all_pairs(s, q) if len(s) <= ALL_PAIRS else _tau_by_sorting(s, q)
    return tau if variant == "b" else tau * untied / math.comb(len(s), 2)


def kendall_tau_a(score: ArrayLike, quality: ArrayLike) -> float:
    """The variant in which a tie is no agreement: what a contest of two scores is decided by."""
    return kendall_tau(score, quality, "a")


def spearman_rho(score: ArrayLike, quality: ArrayLike) -> float:
    """Pearson correlation of the ranks, tied values sharing their mean rank.

    Source:  Spearman 1904, American Journal of Psychology 15
    """
    return _pearson(*map(_ranks, checked(score=score, quality=quality)))


def partial_rho(score: ArrayLike, quality: ArrayLike, size: ArrayLike) -> float:
    """Spearman correlation of score and quality that their correlations with size leave unexplained.

    0.0 where size alone fixes the order of score or of quality: nothing is then left to correlate.

    Formula: (r_sq - r_sz r_qz) / sqrt((1 - r_sz^2) (1 - r_qz^2)), every r a Spearman rho
    Source:  Kendall and Gibbons 1990, Rank Correlation Methods, chapter 8
    Differs: their partial tau is left out: for a score that is only a noisy copy of size (Gaussian, all
             correlations with size 0.8) it tends to 0.14, this one to 0.01
    """
    s, q, z = map(_ranks, checked(score=score, quality=quality, size=size))
    r_sq, r_sz, r_qz = _pearson(s, q), _pearson(s, z), _pearson(q, z)
    left_s, left_q = 1 - r_sz**2, 1 - r_qz**2
    if min(left_s, left_q) < 1e-12:  # rounding: for n < 10,000 the least that ranks can leave is 2e-11
        return 0.0
    return _unit((r_sq - r_sz * r_qz) / math.sqrt(left_s * left_q))


def tau_better_half(score: ArrayLike, quality: ArrayLike) -> float:
    """Tau-b among the architectures whose quality is at least the median; 0.0 where that leaves only one.

    Most scores sort out the broken networks; this asks whether they also order the good ones.
    """
    s, q = checked(score=score, quality=quality)
    middle = len(q) // 2
    kept = q >= np.partition(q, middle)[middle]  # the upper median: the same half, and no mean of infinities
    return kendall_tau(s[kept], q[kept]) if np.count_nonzero(kept) > 1 else 0.0


def top_overlap(score: ArrayLike, quality: ArrayLike, share: float = 0.10) -> float:
    """Share of the truly best architectures that are also among the best by score.

    "Best" are the first k = ceil(share * n). Where a tie straddles the cut, the result is the mean over all
    ways to break the tie, in score and quality apart: a constant score gets k / n, what chance would get.

    Formula: sum over architectures of P(in top k by score) P(in top k by quality) / k
    Source:  after Abdelfattah et al. 2021, arXiv:2101.08134, who count the top 10 % too
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}.")
    s, q = checked(score=score, quality=quality)
    k = math.ceil(round(share * len(s), 9))  # 0.1 * 30 is 3.0000000000000004, and its ceiling 4
    return float(_in_top(s, k) @ _in_top(q, k)) / k


def hard_pairs(
    score: ArrayLike,
    quality: ArrayLike,
    size: ArrayLike,
    size_tolerance: float = 0.05,
    min_gap: float = 0.01,
) -> tuple[float | None, int]:
    """Share of the hard pairs that the score puts in the right order, and how many hard pairs there are.

    A pair (i, j) is hard when |size_i - size_j| <= size_tolerance * max(size_i, size_j) and
    |quality_i - quality_j| > min_gap: size does not tell the two apart and the truth does. Equal scores count
    one half, so 0.5 is what a coin gets. `min_gap` is in the unit of quality: 0.01 suits a negated log loss.
    """
    s, q, z = checked(score=score, quality=quality, size=size)
    if min_gap < 0 or size_tolerance < 0:
        raise ValueError(f"min_gap ({min_gap}) and size_tolerance ({size_tolerance}) must not be negative.")
    if not (np.isfinite(z).all() and (z >= 0).all()):
        raise ValueError("size must be finite and not negative: it counts parameters.")
    half_points = pairs = 0
    for start in range(0, len(s), rows := max(1, BLOCK // len(s))):
        i = np.s_[start : start + rows, None]
        near = np.abs(z[i] - z) <= size_tolerance * np.maximum(z[i], z)
        with np.errstate(invalid="ignore"):  # inf - inf: two runs that both diverged are not apart
            hard = near & (q[i] - q > min_gap)  # the better one is i, so each pair comes up once
        pairs += int(np.count_nonzero(hard))
        half_points += int(np.count_nonzero(hard & (s[i] > s)) + np.count_nonzero(hard & (s[i] >= s)))
    return (half_points / (2 * pairs) if pairs else None), pairs


def bootstrap(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    clusters: ArrayLike | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval (low, high) of statistic(*arrays) under resampling of the architectures.

    Rows that are not independent carry one label in `clusters`: two training runs of one cell, say. Clusters
    are then drawn with replacement, each with all its rows; to draw the rows would count each cell twice
    and give an interval too narrow. One seed means the same resamples for any statistic.

    Source:  Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; clusters: Field and
             Welsh 2007, Journal of the Royal Statistical Society B 69
    """
    check_draws(draws, level)
    columns = checked(**{f"array {i}": a for i, a in enumerate(arrays)})
    rows = clusters_of(clusters, len(columns[0]))
    if statistic in TAUS and len(columns) == 2 and len(rows) <= AT_ONCE:
        values = _taus(*columns, how_often(rows, draws, seed), TAUS[statistic])
    else:
        values = np.array([statistic(*(c[i] for c in columns)) for i in resamples(rows, draws, seed)])
    return quantiles(values, level)


def paired_bootstrap(
    statistic: Callable[..., float],
    score_a: ArrayLike,
    score_b: ArrayLike,
    quality: ArrayLike,
    *more: ArrayLike,
    clusters: ArrayLike | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """(difference, low, high) of `paired_test`, which see."""
    found = paired_test(
        statistic, score_a, score_b, quality, *more, clusters=clusters, draws=draws, seed=seed, level=level
    )
    return found.difference, found.low, found.high


def paired_test(
    statistic: Callable[..., float],
    score_a: ArrayLike,
    score_b: ArrayLike,
    quality: ArrayLike,
    *more: ArrayLike,
    clusters: ArrayLike | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedTest:
    """statistic(a, quality, *more) - statistic(b, quality, *more), its interval and a p-value.

    Both scores see the same resamples: the luck of the draw that they share cancels, and the interval is
    that of the difference. `more` is what the statistic takes after quality, such as size. The p-value turns
    the percentile interval round: it is the largest level whose interval would just touch 0, and at least
    2 / (draws + 1), so that many comparisons take many draws.

    Formula: p = min(1, 2 (1 + min(#{d <= 0}, #{d >= 0})) / (draws + 1)), d the differences of the resamples
    Source:  Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 13 and 15; the 1 that is
             added: Davison and Hinkley 1997, Bootstrap Methods and their Application, section 4.2
    """
    check_draws(draws, level)

    def difference(a: Floats, b: Floats, *truth: Floats) -> float:
        return statistic(a, *truth) - statistic(b, *truth)

    columns = checked(**{f"array {i}": c for i, c in enumerate((score_a, score_b, quality, *more))})
    rows = clusters_of(clusters, len(columns[0]))
    if statistic in TAUS and not more and len(rows) <= AT_ONCE:
        times = how_often(rows, draws, seed)
        mine, other = (_taus(score, columns[2], times, TAUS[statistic]) for score in columns[:2])
        values = mine - other
    else:
        values = np.array([difference(*(c[i] for c in columns)) for i in resamples(rows, draws, seed)])
    return tested(difference(*columns), values, level)


def paired_hard_pairs(
    score_a: ArrayLike,
    score_b: ArrayLike,
    quality: ArrayLike,
    size: ArrayLike,
    size_tolerance: float = 0.05,
    min_gap: float = 0.01,
    *,
    clusters: ArrayLike | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedTest | None:
    """`paired_test` of the share of `hard_pairs`; None without such pairs.

    A resample without them tells the two scores apart by nothing: its difference is 0.
    """
    check_draws(draws, level)
    a, b, q, z = checked(score_a=score_a, score_b=score_b, quality=quality, size=size)
    shares = [hard_pairs(s, q, z, size_tolerance, min_gap)[0] for s in (a, b)]
    if shares[0] is None or shares[1] is None:
        return None
    with np.errstate(invalid="ignore"):  # inf - inf, as in hard_pairs
        hard = np.subtract.outer(q, q) > min_gap
    hard &= np.abs(np.subtract.outer(z, z)) <= size_tolerance * np.maximum.outer(z, z)
    right = [0.5 * hard * ((s[:, None] > s).astype(float) + (s[:, None] >= s)) for s in (a, b)]
    times = how_often(clusters_of(clusters, len(a)), draws, seed)
    more, pairs = within(times, right[0] - right[1]), within(times, hard.astype(float))
    values = np.divide(more, pairs, out=np.zeros_like(more), where=pairs > 0)
    return tested(shares[0] - shares[1], values, level)


def holm(p_values: ArrayLike) -> Floats:
    """The p-values of several tests, corrected so that one may look for the smallest, in their order.

    Whoever calls every test with a corrected value of at most 0.05 a find is wrong about any of them in at
    most one table in twenty, however the tests depend on each other. Raises ValueError for what is no
    p-value.

    Formula: of the k-th smallest of m: max over j <= k of min(1, (m - j + 1) p_(j))
    Source:  Holm 1979, Scandinavian Journal of Statistics 6
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("holm takes a list of p-values, each from 0 to 1.")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(stepped)
    return corrected


TAUS: dict[Callable[..., float], str] = {kendall_tau: "b", kendall_tau_a: "a"}


def _taus(s: Floats, q: Floats, times: Floats, variant: str) -> Floats:
    """Tau of each resample from one look at the pairs: copies of a row are tied with each other.

    All sums are whole numbers below 2^53, so that this is what `kendall_tau` gives for the resample itself.
    """
    up, right = np.sign(s[:, None] - s), np.sign(q[:, None] - q)
    net, in_s, in_q = (within(times, pairs) for pairs in (up * right, up * up, right * right))
    rows = times.sum(1)
    untied = np.sqrt(in_s * in_q) if variant == "b" else rows * (rows - 1)
    taus: Floats = np.divide(net, untied, out=np.zeros_like(net), where=untied > 0)
    return taus


def _tau_all_pairs(s: Floats, q: Floats) -> tuple[float, float]:
    """Tau-b and its denominator, from all n^2 ordered pairs: a pair counts once, with the higher s first."""
    s_above, q_above, q_below = s[:, None] > s, q[:, None] > q, q[:, None] < q
    net = int(np.count_nonzero(s_above & q_above)) - int(np.count_nonzero(s_above & q_below))
    untied = math.sqrt(np.count_nonzero(s_above) * np.count_nonzero(q_above))
    return (net / untied if untied else 0.0), untied


def _tau_by_sorting(s: Floats, q: Floats) -> tuple[float, float]:
    """The same two numbers in O(n log n)."""
    from scipy.stats import kendalltau  # here, as importing it takes a second

    untied = math.sqrt(_untied_pairs(s) * _untied_pairs(q))
    # method: the p-value is not used, and "exact" would spend its time on it
    return (float(kendalltau(s, q, method="asymptotic").statistic) if untied else 0.0), untied


def _untied_pairs(values: Floats) -> int:
    counts = np.unique(values, return_counts=True)[1]
    return math.comb(len(values), 2) - int((counts * (counts - 1) // 2).sum())


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, tied values sharing their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _pearson(x: Floats, y: Floats) -> float:
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return _unit(float(x @ y) / scale) if scale else 0.0


def _unit(r: float) -> float:
    """A correlation without the rounding that may carry it past 1."""
    return max(-1.0, min(1.0, r))


def _in_top(values: Floats, k: int) -> Floats:
    """Probability of each to be among the k highest when ties are broken at random."""
    cut = np.partition(values, len(values) - k)[len(values) - k]
    above, tied = values > cut, values == cut
    return np.where(tied, (k - np.count_nonzero(above)) / np.count_nonzero(tied), above)
