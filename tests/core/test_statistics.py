"""Every number against SciPy, a plain loop over pairs, or a case small enough for paper."""

import itertools
import math
import subprocess
import sys
from dataclasses import asdict, astuple

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.core import resampling, statistics
from untrained.core.statistics import (
    agreement,
    bootstrap,
    hard_pairs,
    holm,
    kendall_tau,
    kendall_tau_a,
    paired_bootstrap,
    paired_hard_pairs,
    paired_test,
    partial_rho,
    spearman_rho,
    tau_better_half,
    top_overlap,
)

few_values = st.integers(-3, 3).map(float)  # few, so that most draws have ties, and some are constant
any_values = st.floats(-1e6, 1e6, allow_subnormal=False) | st.sampled_from([-math.inf, math.inf])


def columns(number, values=few_values, min_size=2, max_size=30):
    """Columns of one common length."""
    rows = st.lists(st.tuples(*[values] * number), min_size=min_size, max_size=max_size)
    return rows.map(lambda r: [np.array(column) for column in zip(*r, strict=True)])


def noisy(n, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    return score, score + noise * rng.normal(size=n)


def tau_by_loop(s, q, variant="b"):
    s, q = s.tolist(), q.tolist()
    net = s_untied = q_untied = 0
    for i, j in itertools.combinations(range(len(s)), 2):
        ds, dq = (s[i] > s[j]) - (s[i] < s[j]), (q[i] > q[j]) - (q[i] < q[j])
        net, s_untied, q_untied = net + ds * dq, s_untied + abs(ds), q_untied + abs(dq)
    if not s_untied * q_untied:
        return 0.0
    return net / (math.sqrt(s_untied * q_untied) if variant == "b" else math.comb(len(s), 2))


# --- tau ---


def test_tau_on_paper():
    # 5 of 6 pairs agree, one does not: (5 - 1) / 6
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    # the pair (2, 2) ties in score: 5 concordant of the sqrt(5 * 6) of tau-b, of the 6 of tau-a
    assert kendall_tau([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / math.sqrt(30))
    assert kendall_tau([1, 2, 2, 3], [1, 2, 3, 4], "a") == pytest.approx(5 / 6)
    assert kendall_tau([1, 2], [5, 4]) == -1.0


@given(columns(2) | columns(2, any_values))
def test_tau_is_that_of_scipy_and_of_the_loop(pair):
    s, q = pair
    for variant in ("a", "b"):
        assert kendall_tau(s, q, variant) == pytest.approx(tau_by_loop(s, q, variant), abs=1e-14)
    if len(set(s)) > 1 and len(set(q)) > 1:
        assert kendall_tau(s, q) == pytest.approx(scipy.stats.kendalltau(s, q).statistic, abs=1e-14)


@given(columns(2, min_size=3))
def test_tau_by_sorting_is_tau_from_all_pairs(pair):
    assert statistics._tau_by_sorting(*pair) == pytest.approx(statistics._tau_all_pairs(*pair), abs=1e-14)


@pytest.mark.parametrize("n", [statistics.ALL_PAIRS, statistics.ALL_PAIRS + 1, 700])
def test_tau_of_many_rows_with_ties(n):
    s, q = (np.round(column, 1) for column in noisy(n))
    assert kendall_tau(s, q) == pytest.approx(tau_by_loop(s, q), abs=1e-14)
    assert kendall_tau(s, q, "a") == pytest.approx(tau_by_loop(s, q, "a"), abs=1e-14)
    assert kendall_tau(s, np.ones(n)) == kendall_tau(s, np.ones(n), "a") == 0.0


def test_tau_better_half_on_paper():
    # the median is 3: (3, 4, 5) are kept, where one pair of three is wrong; the worse half is all wrong
    assert tau_better_half([9, 8, 1, 3, 2], [1, 2, 3, 4, 5]) == pytest.approx((2 - 1) / 3)
    assert tau_better_half([1, 2], [1, 2]) == 0.0  # one is left


@given(columns(2))
def test_tau_better_half_is_tau_above_the_median(pair):
    s, q = pair
    kept = q >= np.median(q)
    expected = tau_by_loop(s[kept], q[kept]) if kept.sum() > 1 else 0.0
    assert tau_better_half(s, q) == pytest.approx(expected, abs=1e-14)


# --- rho ---


def test_rho_on_paper():
    # rank differences 0, 0, 1, 1: 1 - 6 * 2 / (4 * 15)
    assert spearman_rho([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(0.8)


@given(columns(2) | columns(2, any_values))
def test_rho_is_that_of_scipy(pair):
    s, q = pair
    if len(set(s)) > 1 and len(set(q)) > 1:
        assert spearman_rho(s, q) == pytest.approx(scipy.stats.spearmanr(s, q).statistic, abs=1e-12)
    else:
        assert spearman_rho(s, q) == 0.0


@given(columns(3, min_size=5))
def test_partial_rho_is_the_correlation_of_what_regression_on_size_leaves(three):
    s, q, z = (scipy.stats.rankdata(column) for column in three)
    line = np.column_stack([np.ones_like(z), z])
    left_s, left_q = (r - line @ np.linalg.lstsq(line, r, rcond=None)[0] for r in (s, q))
    if min(np.ptp(left_s), np.ptp(left_q)) < 1e-9:  # size explains the whole order
        assert partial_rho(*three) == 0.0
    else:
        assert partial_rho(*three) == pytest.approx(np.corrcoef(left_s, left_q)[0, 1], abs=1e-9)


def test_partial_rho_sees_through_a_copy_of_size():
    rng = np.random.default_rng(0)
    size, a, b = rng.normal(size=(3, 4000))
    score, quality = 0.8 * size + 0.6 * a, 0.8 * size + 0.6 * b  # alike in nothing but size
    assert spearman_rho(score, quality) > 0.6
    assert partial_rho(score, quality, size) == pytest.approx(0.01, abs=0.05)
    # the number for which the docstring leaves Kendall's partial tau out
    sq, sz, qz = (kendall_tau(x, y) for x, y in ((score, quality), (score, size), (quality, size)))
    assert (sq - sz * qz) / math.sqrt((1 - sz**2) * (1 - qz**2)) == pytest.approx(0.14, abs=0.03)


def test_partial_rho_with_nothing_to_explain():
    s, q = noisy(50)
    assert partial_rho(s, q, np.ones(50)) == pytest.approx(spearman_rho(s, q))
    assert partial_rho(s, q, np.exp(s)) == 0.0  # the score is size
    assert partial_rho(s, q, -q) == 0.0


@pytest.mark.parametrize("statistic", [kendall_tau, spearman_rho, tau_better_half])
def test_a_constant_orders_nothing(statistic):
    assert statistic([1, 1, 1], [1, 2, 3]) == 0.0
    assert statistic([1, 2, 3], [7, 7, 7]) == 0.0
    assert partial_rho([1, 1, 1], [1, 2, 3], [2, 1, 3]) == 0.0


# --- the best, and the hard pairs ---


def test_top_overlap_on_paper():
    quality = np.arange(20)
    score = quality.copy()
    assert top_overlap(score, quality) == 1.0
    score[[19, 0]] = score[[0, 19]]  # of the best two, 18 and 19, the score still finds 18
    assert top_overlap(score, quality) == 0.5
    assert top_overlap(-quality, quality) == 0.0
    assert top_overlap(np.ones(20), quality) == pytest.approx(2 / 20)  # chance


@pytest.mark.parametrize(("n", "share", "k"), [(2, 0.1, 1), (30, 0.1, 3), (31, 0.1, 4), (7, 1.0, 7)])
def test_top_overlap_counts_the_ceiling(n, share, k):
    score = np.arange(n)
    quality = np.where(score == n - 1, 1, 0)  # the best by score is in; k - 1 places are drawn among n - 1
    in_top = 1 + (k - 1) * (k - 1) / (n - 1)
    assert top_overlap(score, quality, share) == pytest.approx(in_top / k)


@settings(max_examples=25)
@given(columns(2, max_size=5), st.sampled_from([0.1, 0.4, 0.8]))
def test_top_overlap_is_the_mean_over_all_ways_to_break_ties(pair, share):
    def tops(values):
        """The top k of every order of the rows that breaks ties, by trying all orders."""
        for order in itertools.permutations(range(len(values))):
            yield set(sorted(order, key=lambda row: -values[row])[:k])  # sorted() is stable

    s, q = pair
    k = max(1, math.ceil(share * len(s)))
    shared = [len(a & b) / k for a, b in itertools.product(tops(s), tops(q))]
    assert top_overlap(s, q, share) == pytest.approx(np.mean(shared))


def test_hard_pairs_on_paper():
    size = [100, 95, 94.9, 200]  # within 5 % of the larger: (100, 95) just, (95, 94.9), not (100, 94.9)
    quality = [3.0, 2.0, 1.0, 9.0]
    assert hard_pairs([3, 2, 1, 0], quality, size) == (1.0, 2)
    assert hard_pairs([3, 2, 2, 0], quality, size) == (0.75, 2)
    assert hard_pairs([1, 2, 3, 0], quality, size) == (0.0, 2)
    assert hard_pairs([1, 2, 3, 0], quality, size, min_gap=1.0) == (None, 0)  # the gap must be exceeded
    assert hard_pairs([3, 2, 1, 4], quality, size, size_tolerance=1.0) == (1.0, 6)


@pytest.mark.parametrize("block", [1, 40, 300_000])
@given(three=columns(3) | columns(3, any_values))
def test_hard_pairs_are_those_of_the_loop(block, three):
    s, q, z = three[0], three[1], 10 + np.clip(three[2], -5, 5)
    right, pairs = 0.0, 0
    for i, j in itertools.combinations(range(len(s)), 2):
        far = q[i] != q[j] and abs(q[i] - q[j]) > 1.5
        if abs(z[i] - z[j]) <= 0.1 * max(z[i], z[j]) and far:
            pairs += 1
            right += 0.5 if s[i] == s[j] else float((s[i] > s[j]) == (q[i] > q[j]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "BLOCK", block)
        share, number = hard_pairs(s, q, z, size_tolerance=0.1, min_gap=1.5)
    assert number == pairs
    assert share == (pytest.approx(right / pairs) if pairs else None)


# --- intervals ---


def test_tau_interval_covers_the_truth_about_as_often_as_it_says():
    truth = 2 / math.pi * math.asin(math.sqrt(0.5))  # tau of two Gaussians with correlation sqrt(1/2)
    intervals = [bootstrap(kendall_tau, *noisy(60, seed), draws=200) for seed in range(100)]
    covered = sum(low <= truth <= high for low, high in intervals)
    assert 88 <= covered <= 99


def test_interval_of_a_mean_is_that_of_the_central_limit():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap(np.mean, values, draws=2000, level=0.9)
    half = 1.645 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)


def test_twins_count_once_when_they_are_one_cluster():
    def width(interval):
        return interval[1] - interval[0]

    s, q = noisy(80)
    twice = np.tile(s, 2), np.tile(q, 2)
    alone = width(bootstrap(kendall_tau, s, q))
    clustered = width(bootstrap(kendall_tau, *twice, clusters=np.tile(np.arange(80), 2)))
    naive = width(bootstrap(kendall_tau, *twice))
    assert clustered == pytest.approx(alone, rel=0.05)
    assert naive < 0.8 * alone  # sqrt(1/2) of it, but for noise


def test_resamples_hold_whole_clusters():
    labels = np.array([7, 3, 7, 3, 7, 5])
    for rows in resampling.resamples(labels, draws=50, seed=0):
        counts = np.bincount(rows, minlength=6)
        assert counts[0] == counts[2] == counts[4]
        assert counts[1] == counts[3]
        assert counts[0] + counts[1] + counts[5] == 3  # as many clusters as there are


def test_clusters_of_one_row_are_no_clusters_and_labels_may_be_words():
    s, q = noisy(12)
    plain = bootstrap(kendall_tau, s, q, draws=50)
    assert bootstrap(kendall_tau, s, q, draws=50, clusters=np.arange(12)) == plain
    assert bootstrap(kendall_tau, s, q, draws=50, clusters=list("abcdefghijkl")) == plain


def test_bootstrap_passes_the_same_rows_of_every_array():
    a = np.arange(30.0)

    def all_alike(x, y, z):
        return float((x == y).all() and (y == z).all())

    assert bootstrap(all_alike, a, a, a, draws=20, clusters=np.arange(30) // 4) == (1.0, 1.0)


def test_paired_interval_is_of_the_difference_on_shared_resamples():
    s, q = noisy(100)
    rng = np.random.default_rng(1)
    better, worse = s + 0.1 * rng.normal(size=100), s + 2 * rng.normal(size=100)
    difference, low, high = paired_bootstrap(kendall_tau, better, worse, q)
    assert difference == kendall_tau(better, q) - kendall_tau(worse, q)
    assert 0 < low < difference < high
    assert paired_bootstrap(kendall_tau, s, s, q) == (0.0, 0.0, 0.0)
    # near copies share their luck: the interval is far narrower than either score's own
    _, low, high = paired_bootstrap(kendall_tau, s, better, q)
    alone = bootstrap(kendall_tau, s, q)
    assert high - low < 0.5 * (alone[1] - alone[0])


def test_paired_bootstrap_hands_size_through():
    s, q = noisy(40)
    size = noisy(40, seed=3)[0]
    difference, low, high = paired_bootstrap(partial_rho, s, -s, q, size, draws=50)
    assert difference == pytest.approx(2 * partial_rho(s, q, size))
    assert low <= difference <= high


def test_a_seed_fixes_the_interval_and_leaves_the_global_generator_alone():
    s, q = noisy(40)
    state = repr(np.random.get_state())  # noqa: NPY002 - it is what must not move
    first = bootstrap(kendall_tau, s, q, seed=5)
    assert first == bootstrap(kendall_tau, s, q, seed=5)
    assert first != bootstrap(kendall_tau, s, q, seed=6)
    assert repr(np.random.get_state()) == state  # noqa: NPY002


# --- all at once ---


def test_agreement_collects_the_statistics():
    s, q = noisy(90)
    size = np.round(np.exp(noisy(90, seed=1)[0]) * 1e5)
    cells = np.arange(90) // 2
    got = agreement(s, q, size=size, clusters=cells, min_gap=0.5, draws=100, seed=3)
    low, high = bootstrap(kendall_tau, s, q, clusters=cells, draws=100, seed=3)
    share, pairs = hard_pairs(s, q, size, min_gap=0.5)
    assert asdict(got) == {
        "n": 90,
        "tau": kendall_tau(s, q),
        "tau_a": kendall_tau(s, q, "a"),
        "tau_low": low,
        "tau_high": high,
        "rho": spearman_rho(s, q),
        "tau_better_half": tau_better_half(s, q),
        "top10_overlap": top_overlap(s, q),
        "hard_pairs": share,
        "hard_pairs_n": pairs,
        "partial_rho": partial_rho(s, q, size),
    }
    assert all(type(value) in (int, float) for value in asdict(got).values())  # as JSON wants them


def test_agreement_without_sizes():
    got = agreement([1, 2, 3], [1, 2, 3], draws=10)
    assert (got.tau, got.hard_pairs, got.hard_pairs_n, got.partial_rho) == (1.0, None, 0, None)


@settings(max_examples=30)
@given(columns(3))
def test_agreement_is_never_nan(three):
    got = agreement(three[0], three[1], size=10 + three[2], draws=5)
    assert not any(math.isnan(value) for value in asdict(got).values() if value is not None)


# --- wrong use ---


@pytest.mark.parametrize("statistic", [kendall_tau, spearman_rho, tau_better_half, top_overlap, agreement])
def test_what_cannot_be_compared_is_said(statistic):
    with pytest.raises(ValueError, match="quality is NaN at position 1"):
        statistic([1, 2], [1, math.nan])
    with pytest.raises(ValueError, match="score has 3, quality has 2"):
        statistic([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="at least 2 architectures are needed to compare, got 1"):
        statistic([1], [1])
    with pytest.raises(ValueError, match=r"score must be one-dimensional, its shape is \(2, 2\)"):
        statistic([[1, 2], [3, 4]], [1, 2])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: kendall_tau([1, 2], [1, 2], "c"), "not 'c'"),
        (lambda: top_overlap([1, 2], [1, 2], 0.0), "share must be above 0"),
        (lambda: partial_rho([1, 2], [1, 2], [1]), "size has 1"),
        (lambda: hard_pairs([1, 2], [1, 2], [1, math.nan]), "size is NaN"),
        (lambda: hard_pairs([1, 2], [1, 2], [1, -1]), "size must be finite and not negative"),
        (lambda: hard_pairs([1, 2], [1, 2], [1, math.inf]), "size must be finite"),
        (lambda: hard_pairs([1, 2], [1, 2], [1, 1], min_gap=-1), "must not be negative"),
        (lambda: bootstrap(kendall_tau, [1, 2], [1, 2], draws=0), "draws must be at least 1"),
        (lambda: bootstrap(kendall_tau, [1, 2], [1, 2], level=1.0), "level between 0 and 1"),
        (lambda: bootstrap(kendall_tau, [1, 2], [1, 2], clusters=[1]), "one label for each of the 2"),
        (lambda: bootstrap(kendall_tau, [1, 2], [1, 2], clusters=[1, 1]), "at least 2 clusters"),
        (lambda: bootstrap(kendall_tau), "at least 2 architectures"),
        (lambda: paired_bootstrap(kendall_tau, [1, 2], [1, math.nan], [1, 2]), "array 1 is NaN"),
    ],
)
def test_wrong_use_is_said(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_importing_loads_neither_scipy_nor_torch():
    code = "import sys, untrained.core.statistics; print({'scipy', 'torch'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


@settings(max_examples=30, deadline=None)
@given(columns(3), st.integers(0, 5))
def test_the_quick_bootstrap_of_tau_is_that_of_each_resample(three, seed):
    a, b, q = three
    cells = np.arange(len(q)) // 2
    if len(set(cells.tolist())) < 2:
        return

    for statistic, clusters in itertools.product((kendall_tau, kendall_tau_a), (None, cells)):

        def slow(s, q, statistic=statistic):
            return statistic(s, q)

        quick, plain = (bootstrap(f, a, q, clusters=clusters, draws=20, seed=seed) for f in (statistic, slow))
        assert quick == pytest.approx(plain, abs=1e-12)
        quick, plain = (
            paired_bootstrap(f, a, b, q, clusters=clusters, draws=20, seed=seed) for f in (statistic, slow)
        )
        assert quick == pytest.approx(plain, abs=1e-12)


# --- many scores at once ---


def mean_of_products(s, q):
    return float(np.mean(s * q))


def test_a_paired_p_value_is_that_of_all_resamples():
    # a mean of s * q: the difference of a resample is the mean of (a - b) q, here of -1, 2, 3 with repeats
    parts = [-1.0, 2.0, 3.0]
    whole = [sum(drawn) for drawn in itertools.product(parts, repeat=3)]  # 27 resamples, each as likely
    crossing = sum(d <= 0 for d in whole) / 27  # -3; 0 = -1 - 1 + 2, in three orders: 4 of 27
    assert crossing == 4 / 27
    found = paired_test(mean_of_products, [0.0, 4.0, 3.0], [1.0, 2.0, 0.0], [1.0, 1.0, 1.0], draws=40_000)
    assert found.difference == pytest.approx(4 / 3)
    assert found.p == pytest.approx(2 * crossing, abs=0.015)


def test_a_paired_p_value_is_never_zero_and_turns_with_the_sign():
    quality = np.arange(12.0)
    noise = np.array([3, 0, 5, 1, 9, 2, 11, 4, 7, 6, 10, 8.0])
    better = paired_test(kendall_tau_a, quality, noise, quality, draws=99)
    worse = paired_test(kendall_tau_a, noise, quality, quality, draws=99)
    assert better.p == worse.p == pytest.approx(2 / 100)
    assert (better.low, better.high) == pytest.approx((-worse.high, -worse.low))
    assert paired_test(kendall_tau_a, noise, noise, quality, draws=99).p == 1.0


def test_the_p_value_and_the_interval_say_the_same():
    for seed in range(20):
        score, quality = noisy(25, seed)
        other = noisy(25, seed + 100)[0]
        found = paired_test(kendall_tau_a, score, other, quality, draws=999)
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high), seed


def test_two_equal_scores_are_seldom_told_apart():
    rng, finds = np.random.default_rng(1), 0
    for _ in range(200):
        quality = rng.normal(size=40)
        a, b = (quality + rng.normal(size=40) for _ in range(2))
        finds += paired_test(kendall_tau_a, a, b, quality, draws=199).p <= 0.05
    assert finds <= 20  # 5 % of 200 are 10, and chance gives more than 20 once in a thousand times


@settings(max_examples=30, deadline=None)
@given(columns(3, min_size=4), st.integers(0, 5))
def test_the_paired_test_of_hard_pairs_is_that_of_each_resample(three, seed):
    a, b, q = three
    size, cells = 100.0 + np.arange(len(q)), np.arange(len(q)) // 2
    for clusters in (None, cells):
        given = {"clusters": clusters, "draws": 20, "seed": seed}
        quick = paired_hard_pairs(a, b, q, size, 0.02, 0.5, **given)
        if quick is None:
            assert hard_pairs(a, q, size, 0.02, 0.5) == (None, 0)
            continue
        plain = paired_test(lambda s, t, z: hard_pairs(s, t, z, 0.02, 0.5)[0] or 0.0, a, b, q, size, **given)
        assert astuple(quick) == pytest.approx(astuple(plain), abs=1e-12)


def test_holm_on_paper():
    # sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 gives 0.02, 0.03, 0.06, 0.04; the last may not fall
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([0.04]) == pytest.approx([0.04])
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_is_bonferroni_on_every_set_that_a_test_is_in(p):
    # closed testing (Marcus, Peritz and Gabriel 1976): a find must be one in every set of tests it is in
    sets = [s for k in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), k)]
    wanted = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(len(p))]
    assert holm(p) == pytest.approx(wanted)


@pytest.mark.parametrize("p", [[-0.1], [1.1], [math.nan], [[0.5]]])
def test_holm_of_what_is_no_p_value_is_said(p):
    with pytest.raises(ValueError, match="each from 0 to 1"):
        holm(p)
