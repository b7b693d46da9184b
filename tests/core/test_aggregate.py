"""Rank aggregation: on paper, by scipy's ranks, by counting duels, and candidate by candidate."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from untrained.core.aggregate import COMBINATIONS, Arriving, aggregate
from untrained.core.errors import UnknownName

NAN = math.nan
# a is first by one and last by the other, b is second by both, c is bad by both; d has one score only.
PAPER = [[4.0, 10.0], [3.0, 30.0], [1.0, 20.0], [2.0, NAN]]


def test_on_paper() -> None:
    # Ranks from the worst: first column 4 3 1 2, second 2 4 3 1 with d last for want of a score.
    assert aggregate("mean_rank", PAPER) == pytest.approx([6 / 8, 7 / 8, 4 / 8, 3 / 8])
    logs = [math.log(4 * 2 / 16), math.log(3 * 4 / 16), math.log(1 * 3 / 16), math.log(2 * 1 / 16)]
    assert aggregate("log_rank", PAPER) == pytest.approx(logs)
    # Duels won: a 3 of 3 and 0 of 2; b 2 and 2; c 0 and 1; d 1 of 3 and none held.
    assert aggregate("borda", PAPER) == pytest.approx([3 / 5, 4 / 5, 1 / 5, 1 / 3])


def test_equal_scores_share_their_mean_rank_and_so_do_those_without_one() -> None:
    column = [[5.0], [NAN], [5.0], [7.0], [NAN]]
    assert (aggregate("mean_rank", column) * 5)[[0, 2, 3]] == pytest.approx([3.5, 3.5, 5.0])
    both = [[5.0, 1.0], [NAN, 1.0], [5.0, 1.0], [7.0, 1.0], [NAN, 1.0]]
    assert aggregate("mean_rank", both) * 10 == pytest.approx([6.5, 4.5, 6.5, 8.0, 4.5])
    assert aggregate("borda", both)[1] == 0.5  # it tied with all four in the one it was scored by


def test_one_bad_rank_costs_more_by_logarithm_than_one_good_rank_gains() -> None:
    even, torn = [3.0, 3.0], [5.0, 1.0]
    pool = [even, torn, [1.0, 5.0], [2.0, 2.0], [4.0, 4.0]]
    by_mean, by_log = aggregate("mean_rank", pool), aggregate("log_rank", pool)
    assert by_mean[0] == by_mean[1]
    assert by_log[0] > by_log[1]


def test_what_nothing_scores_has_no_aggregate() -> None:
    for how in COMBINATIONS:
        found = aggregate(how, [[1.0, 2.0], [NAN, NAN], [3.0, NAN]])
        assert np.isnan(found).tolist() == [False, True, False]


@pytest.mark.parametrize("how", COMBINATIONS)
def test_one_candidate_and_none(how: str) -> None:
    assert aggregate(how, [[3.0, NAN]]) == pytest.approx(
        {"mean_rank": 1.0, "log_rank": 0.0, "borda": 0.5}[how]
    )
    assert aggregate(how, np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize("how", ["mean_rank", "log_rank"])
def test_a_proxy_that_fails_everywhere_changes_no_order(how: str) -> None:
    dead = [[*row, NAN] for row in PAPER]
    assert np.argsort(aggregate(how, dead)).tolist() == np.argsort(aggregate(how, PAPER)).tolist()


def test_infinity_is_a_score() -> None:
    found = aggregate("mean_rank", [[math.inf], [-math.inf], [0.0], [NAN]])
    assert found[:3] == pytest.approx([1.0, 0.5, 0.75])


TABLES = st.integers(1, 12).flatmap(
    lambda n: st.lists(
        st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.5, -1.0, NAN]), min_size=3, max_size=3),
        min_size=n,
        max_size=n,
    )
)


@given(TABLES)
def test_ranks_are_those_of_scipy_and_duels_are_counted_one_by_one(rows: list[list[float]]) -> None:
    scores = np.array(rows)
    lost = np.isnan(scores).all(1)
    ranks = np.stack([rankdata(np.nan_to_num(column, nan=-99.0)) for column in scores.T], 1)
    n = len(rows)
    mean, logs = ranks.mean(1) / n, sum(np.log(column / n) for column in ranks.T)
    duels: list[list[float]] = [[] for _ in rows]
    for i, j in permutations(range(n), 2):
        for a, b in zip(rows[i], rows[j], strict=True):
            if not (math.isnan(a) or math.isnan(b)):
                duels[i].append(1.0 if a > b else 0.5 if a == b else 0.0)
    shares = [sum(of) / len(of) if of else 0.5 for of in duels]
    for how, want in (("mean_rank", mean), ("log_rank", logs), ("borda", shares)):
        np.testing.assert_allclose(aggregate(how, scores), np.where(lost, NAN, want), rtol=1e-12, atol=1e-12)


@given(TABLES)
def test_without_gaps_borda_and_mean_rank_give_one_order(rows: list[list[float]]) -> None:
    whole = np.nan_to_num(np.array(rows), nan=9.0)
    n = len(whole)
    if n > 1:
        share = (aggregate("mean_rank", whole) * n - 1) / (n - 1)
        np.testing.assert_allclose(aggregate("borda", whole), share, atol=1e-12)


@given(TABLES, st.sampled_from(COMBINATIONS))
def test_one_by_one_gives_what_all_at_once_gives(rows: list[list[float]], how: str) -> None:
    arriving = Arriving(how, 3)
    for i, row in enumerate(rows, 1):
        arriving.add(row)
        assert len(arriving) == i
        np.testing.assert_allclose(arriving.scores(), aggregate(how, rows[:i]), rtol=1e-12, atol=1e-12)


def test_many_arrive() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 30, (100, 4)).astype(float)
    rows[rng.random(rows.shape) < 0.1] = NAN
    arriving = Arriving("log_rank", 4)
    for row in rows:
        arriving.add(row)
    np.testing.assert_allclose(arriving.scores(), aggregate("log_rank", rows), rtol=1e-12)


def test_what_is_given_wrongly_is_said() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'mean_rank'"):
        aggregate("mean_ranks", PAPER)
    with pytest.raises(UnknownName, match="no combination is called"):
        Arriving("median", 2)
    with pytest.raises(ValueError, match=r"candidates, proxies"):
        aggregate("borda", [1.0, 2.0])
    with pytest.raises(ValueError, match="1 or more"):
        Arriving("borda", 0)
    with pytest.raises(ValueError, match="one score a proxy: 2"):
        Arriving("borda", 2).add([1.0])
