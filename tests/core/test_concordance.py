"""Pairs that one score has right beyond another."""

import numpy as np
import pytest

from untrained.core.concordance import PairsGained, order_gain, pair_gains
from untrained.core.statistics import kendall_tau, paired_test

TRUTH = np.array([1.0, 2.0, 3.0, 3.0])


def test_pairs_by_hand():
    """The other score has 1-2 wrong, 1-3 wrong and 2-3 tied; the last two have one truth."""
    score, other = [1, 2, 3, 4], [2, 1, 1, 5]
    found = pair_gains(score, other, TRUTH)
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 1.0  # wrong to right
    expected[0, 2] = expected[2, 0] = 1.0
    expected[1, 2] = expected[2, 1] = 0.5  # tied to right
    assert found == pytest.approx(expected)
    gain, error = order_gain(score, other, TRUTH)
    rows = np.array([2.0, 1.5, 1.5, 0.0]) / 3
    assert gain == pytest.approx(rows.mean())
    assert error == pytest.approx(2 * rows.std() / 2)


def test_twice_the_gain_is_the_difference_of_taus_without_ties():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=50)
    a, b = (truth + rng.normal(size=50) for _ in range(2))
    difference = kendall_tau(a, truth) - kendall_tau(b, truth)
    assert 2 * order_gain(a, b, truth)[0] == pytest.approx(difference)


def test_the_error_is_the_spread_over_samples():
    rng, gains, errors = np.random.default_rng(1), [], []
    for _ in range(400):
        truth = rng.normal(size=60)
        gain, error = order_gain(truth + rng.normal(size=60), truth + 2 * rng.normal(size=60), truth)
        gains.append(gain)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(gains), rel=0.15)


def test_pairs_of_two_groups_do_not_count():
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    across = order_gain([1, 2, 3, 4], [3, 4, 1, 2], truth, groups=[0, 0, 1, 1])
    assert across == (0.0, 0.0)  # wrong only between the groups
    assert order_gain([1, 2, 4, 3], [2, 1, 4, 3], truth, groups=[0, 0, 1, 1])[0] == pytest.approx(0.5)
    assert order_gain([1, 2], [2, 1], [1, 2], groups=[0, 1]) == (0.0, 0.0)


def test_gathered_once_it_is_the_paired_bootstrap_of_tau():
    """Other resamples, and copies of a row are no pairs here, so not to the last digit."""
    rng = np.random.default_rng(2)
    truth = rng.normal(size=80)
    a, b = truth + rng.normal(size=80), truth + 2 * rng.normal(size=80)
    gathered = PairsGained(100)
    gathered.add(np.arange(80), pair_gains(a, b, truth), ~np.eye(80, dtype=bool))
    told = paired_test(kendall_tau, a, b, truth)
    gain, low, high = (2 * v for v in gathered.interval())
    assert gain == pytest.approx(told.difference)
    assert (low, high) == pytest.approx((told.low, told.high), abs=0.02)


def test_splits_that_score_other_networks_add_up():
    gathered, one = PairsGained(4), ~np.eye(2, dtype=bool)
    gathered.add(np.array([0, 1]), np.array([[0.0, 1.0], [1.0, 0.0]]), one)
    gathered.add(np.array([2, 3]), np.array([[0.0, -1.0], [-1.0, 0.0]]), one)
    gathered.add(np.array([0, 1]), np.zeros((2, 2)), one)
    gain, low, high = gathered.interval()
    assert gain == pytest.approx(0.0)  # one right and one wrong, over three
    assert low < 0 < high
    assert PairsGained(4).interval() is None
