"""What a table is worth, on runs whose noise is known."""

import numpy as np
import pytest

from untrained.apps.making.worth import worth, worths
from untrained.core.architecture import Architecture
from untrained.core.runs import Run


def runs(
    noise: float, *, networks: int = 30, repeated: int = 10, half: float = 0.0, band: str = "a"
) -> list[Run]:
    """Networks whose true losses are 0.1 apart, in an order that luck decides."""
    luck = np.random.default_rng(0)
    found = []
    for n in range(networks):
        arch = Architecture.of("toy", n=n, band=band)
        for seed in range(3 if n < repeated else 1):
            loss = 4 + 0.1 * ((7 * n) % networks) + noise * luck.standard_normal()
            middle = loss + 1 + half * luck.standard_normal()
            found.append(
                Run(
                    arch=arch,
                    band=band,
                    seed=seed,
                    params_nonembedding=100,
                    tokens=10,
                    status="ok",
                    loss=loss,
                    curve=(7.0, middle, loss),
                    learning=(6.0, 5.0),
                    seconds=1.0,
                    device="cpu",
                    versions={},
                )
            )
    return found


def test_without_noise_two_trainings_agree():
    found = worth("a", runs(0.0))
    assert (found.networks, found.repeated, found.diverged) == (30, 10, 0)
    assert found.noise == pytest.approx(0.0, abs=1e-12)
    assert found.retest == pytest.approx(1.0)
    assert found.retest_all == pytest.approx(1.0)
    assert found.settled == pytest.approx(1.0)
    assert found.spread == pytest.approx(np.std(0.1 * np.arange(30), ddof=1))


def test_noise_is_found_again():
    found = worth("a", runs(0.3, networks=60, repeated=60))
    assert found.noise == pytest.approx(0.3, rel=0.15)
    assert 0.7 < found.retest < 1.0
    assert found.retest_all == pytest.approx(found.retest, abs=0.06)


def test_one_failure_hardly_counts():
    """A network that one seed of three does not get off the ground is no measure of all others."""
    fine = runs(0.01, networks=60)
    failed = [
        Run(**{**vars(r), "loss": 9.0}) if (dict(r.arch.choices)["n"], r.seed) == (3, 2) else r for r in fine
    ]
    before, after = worth("a", fine), worth("a", failed)
    assert after.noise == pytest.approx(before.noise, rel=0.3)
    assert after.retest < before.retest
    assert 0.8 < after.retest_all < before.retest_all  # but it may happen to those that are like it


def test_an_order_that_has_not_settled():
    assert worth("a", runs(0.0, half=3.0)).settled < 0.6


def test_bands_are_apart():
    low = runs(0.0, networks=12)
    high = [
        Run(**{**vars(r), "band": "b", "loss": r.loss + 9, "curve": tuple(v + 9 for v in r.curve)})
        for r in runs(0.0, networks=12, band="b")
    ]
    found = worths([*low, *high])
    assert [w.name for w in found] == ["a", "b", "all"]
    assert found[2].spread == pytest.approx(found[0].spread, rel=0.05)
    assert found[2].networks == 24


def test_too_little_says_nothing():
    assert worths(runs(0.0, networks=2, repeated=0)) == []
    found = worth("a", runs(0.1, repeated=0))
    assert (found.noise, found.retest, found.retest_all) == (None, None, None)
    assert found.settled == pytest.approx(1.0)
