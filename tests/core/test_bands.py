"""Orders inside bands, against pairs counted one by one."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrained.core.bands import bootstrap_in_bands, paired_in_bands, tau_in_bands
from untrained.core.statistics import kendall_tau_a


def test_worked_by_hand():
    """Band a has pairs (1, 2) right, (1, 3) wrong, (2, 3) tied; band b one right; others do not count."""
    score = [1, 2, 2, 9, 8]
    quality = [2, 3, 1, 5, 4]
    assert tau_in_bands(score, quality, ["a", "a", "a", "b", "b"]) == pytest.approx((1 - 1 + 0 + 1) / 4)


rows = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from("xy"), st.integers(0, 3)),
    min_size=2,
    max_size=12,
)


@given(rows)
def test_against_counting(table):
    score, quality, bands, own = map(list, zip(*table, strict=True))
    net = pairs = 0
    for i, j in itertools.combinations(range(len(table)), 2):
        if bands[i] == bands[j] and own[i] != own[j] and quality[i] != quality[j]:
            pairs += 1
            net += int(np.sign(score[i] - score[j]) * np.sign(quality[i] - quality[j]))
    assert tau_in_bands(score, quality, bands, own) == pytest.approx(net / pairs if pairs else 0.0)


def test_one_band_is_tau_a():
    luck = np.random.default_rng(0)
    score, quality = luck.normal(size=(2, 30))
    assert tau_in_bands(score, quality, ["x"] * 30) == pytest.approx(kendall_tau_a(score, quality))


def test_intervals_and_paired_tests():
    luck = np.random.default_rng(1)
    quality = luck.normal(size=60)
    good, bad = quality + luck.normal(size=60), luck.normal(size=60)
    bands = ["a"] * 30 + ["b"] * 30
    low, high = bootstrap_in_bands(good, quality, bands)
    assert low < tau_in_bands(good, quality, bands) < high
    found = paired_in_bands(good, bad, quality, bands)
    assert found.difference == pytest.approx(
        tau_in_bands(good, quality, bands) - tau_in_bands(bad, quality, bands)
    )
    assert 0 < found.low < found.high
    assert found.p < 0.05
    same = paired_in_bands(good, good, quality, bands)
    assert (same.difference, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)


def test_resamples_agree_with_counting_them():
    """The interval from one look at the pairs is that of the resamples themselves."""
    from untrained.core.resampling import quantiles, resamples

    luck = np.random.default_rng(2)
    score, quality = luck.normal(size=(2, 12))
    bands, own = np.array(list("aaaaaabbbbbb")), np.array([0, 0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9])
    each = [tau_in_bands(score[i], quality[i], bands[i], own[i]) for i in resamples(own, draws=200, seed=0)]
    assert bootstrap_in_bands(score, quality, bands, own, draws=200) == pytest.approx(
        quantiles(np.array(each), 0.95)
    )


def test_wrong_input():
    with pytest.raises(ValueError, match="bands needs one name"):
        tau_in_bands([1, 2], [1, 2], ["a"])
    with pytest.raises(ValueError, match="NaN"):
        tau_in_bands([1, float("nan")], [1, 2], ["a", "a"])
    with pytest.raises(ValueError, match="draws"):
        bootstrap_in_bands([1, 2], [1, 2], ["a", "a"], draws=0)
