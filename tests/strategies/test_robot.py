"""robot: its stages on paper, resuming, workers, and pools where a hidden weighted sum decides."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from random import Random
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.space import Space, choice
from untrained.core.strategy import Ask, make
from untrained.core.study import Trial
from untrained.strategies.robot import LENGTHS, NOISE, Robot, _matern, _unit, posterior

Measure = Callable[[Ask], tuple[str, float | None]]


class Numbers(Space):
    """Eight thousand architectures; what they are worth is drawn from their name."""

    name = "numbers"
    a: int = choice(*range(20))
    b: int = choice(*range(20))
    c: int = choice(*range(20))

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


class Few(Space):
    """Nine architectures."""

    name = "few"
    x: int = choice(0, 1, 2)
    y: int = choice(0, 1, 2)

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


def few(x: int, y: int) -> Architecture:
    return Architecture.of("few", x=x, y=y)


def proxy(arch: Architecture, number: int) -> float:
    return Random(f"{arch.id} {number}").random()


def hidden(*weights: float) -> Measure:
    """The truth is a weighted sum of the cheap metrics; the first of them spans six orders of magnitude."""

    def measure(ask: Ask) -> tuple[str, float | None]:
        if ask.fidelity is None:
            return "ok", sum(w * proxy(ask.architecture, i) for i, w in enumerate(weights))
        value = proxy(ask.architecture, ask.fidelity)
        return "ok", 10 ** (6 * value) if ask.fidelity == 0 else value

    return measure


def rough(ask: Ask) -> tuple[str, float | None]:
    """Some fail, some are turned away."""
    luck = Random(f"{ask.architecture.id} {ask.fidelity}").random()
    if proxy(ask.architecture, 9) < 0.1:
        return "rejected", None
    return ("failed", None) if luck < 0.1 else hidden(1.0, -0.5)(ask)


def told(number: int, ask: Ask, measure: Measure) -> Trial:
    status, score = measure(ask)
    scores = () if score is None else (score,)
    return Trial(number, ask.architecture, status, {}, score, scores, fidelity=ask.fidelity, note=ask.note)


def play(
    text: str,
    trials: int,
    *,
    measure: Measure = rough,
    space: Space | None = None,
    fidelities: int = 2,
    batch: int = 1,
    seed: int = 0,
    restart: bool = False,
) -> list[Trial]:
    """A search; with `restart`, a fresh strategy is told everything again before each batch."""
    place = space or Numbers()
    strategy, done = make(text, place, fidelities=fidelities), list[Trial]()
    while len(done) < trials:
        if restart:
            strategy = make(text, place, fidelities=fidelities)
            for trial in done:
                strategy.tell(trial)
        asks = [Ask.of(a) for a in strategy.ask(Random(f"{seed}/{len(done)}"), batch)]
        assert len(asks) == batch
        for ask in asks:
            done.append(told(len(done), ask, measure))
            strategy.tell(done[-1])
    return done


def real(trials: list[Trial]) -> list[Trial]:
    return [t for t in trials if t.fidelity is None]


@pytest.mark.parametrize("batch", [1, 8])
def test_luck_decides_and_being_told_again_restores_it(batch: int) -> None:
    text = "robot:pool=30,queries=8"
    once = play(text, 120, batch=batch)
    assert once == play(text, 120, batch=batch) != play(text, 120, batch=batch, seed=1)
    assert once == play(text, 120, batch=batch, restart=True)
    keys = Counter((t.architecture.id, t.fidelity) for t in once)
    assert max(keys.values()) == 1


def test_asking_changes_nothing_at_any_stage() -> None:
    strategy = make("robot:pool=20,queries=6", Numbers(), fidelities=2)
    for trial in play("robot:pool=20,queries=6", 100):
        first = strategy.ask(Random(0), 7)
        strategy.ask(Random(1), 30)
        assert strategy.ask(Random(0), 7) == first
        strategy.tell(trial)


def test_every_member_of_the_pool_is_looked_at_by_every_metric_before_the_first_real_look() -> None:
    done = play("robot:pool=15", 60, fidelities=3, measure=hidden(1.0, 1.0, 1.0))
    assert [t.fidelity for t in done] == [0] * 15 + [1] * 15 + [2] * 15 + [None] * 15
    pool = {t.architecture for t in done[:15]}
    assert {t.architecture for t in real(done)} == pool


@pytest.mark.parametrize("batch", [1, 8])
def test_a_hidden_weighted_sum_is_found(batch: int) -> None:
    """The best of two hundred within thirty real looks, also where a metric misleads."""
    for seed, weights in enumerate([(1.0, 0.3), (1.0, -0.8), (-0.6, -1.0), (0.05, 1.0)]):
        done = play("robot", 440, measure=hidden(*weights), seed=seed, batch=batch)
        pool = {t.architecture: hidden(*weights)(Ask(t.architecture))[1] for t in done if t.fidelity == 0}
        best = max(t.score or -math.inf for t in real(done)[:30])
        assert best == max(v for v in pool.values() if v is not None), weights


def test_the_best_weights_lead_down_the_list_and_ties_go_to_the_latest() -> None:
    strategy = make("robot:pool=4,queries=2", Few(), fidelities=2)
    assert isinstance(strategy, Robot)
    rows = {few(0, 0): (0.0, 0.0), few(0, 1): (1.0, 0.0), few(0, 2): (0.0, 1.0), few(1, 0): (0.9, 0.4)}
    for arch, values in rows.items():
        for level, value in enumerate(values):
            strategy.tell(told(0, Ask(arch, level), lambda _, value=value: ("ok", value)))
    (first,) = strategy.ask(Random(0))
    assert first == Ask(few(1, 0), note=(1.0, 1.0))  # equal weights: 0.9 + 0.4 is the most
    strategy.tell(told(1, Ask.of(first), lambda _: ("ok", 5.0)))
    strategy.tell(told(2, Ask(few(0, 2), note=(-0.5, 1.0)), lambda _: ("ok", 5.0)))
    # Of two results of 5 the later weights hold: -0.5 a + b puts 0 above -0.5.
    assert [Ask.of(a).architecture for a in strategy.ask(Random(0), 2)] == [few(0, 0), few(0, 1)]
    assert all(Ask.of(a).note is None for a in strategy.ask(Random(0), 2))


def test_what_is_turned_away_leaves_the_pool_and_what_fails_counts_0() -> None:
    strategy = make("robot:pool=3,queries=1", Few(), fidelities=2)
    values: dict[tuple[Architecture, int], float | str] = {
        (few(0, 0), 0): 9.0,
        (few(0, 1), 0): "failed",
        (few(0, 2), 0): 1.0,
        (few(0, 0), 1): "rejected",
        (few(0, 1), 1): 3.0,
        (few(0, 2), 1): 2.0,
    }
    for (arch, level), value in values.items():
        found = (value, None) if isinstance(value, str) else ("ok", value)
        strategy.tell(told(0, Ask(arch, level), lambda _, found=found: found))
    assert isinstance(strategy, Robot)
    archs, features = strategy._scaled()
    assert archs == [few(0, 1), few(0, 2)]
    assert features.tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert Ask.of(strategy.ask(Random(0))[0]).architecture == few(0, 1)


@pytest.mark.parametrize("status", ["failed", "rejected"])
def test_a_search_without_a_single_score_goes_on(status: str) -> None:
    done = play("robot:pool=10,queries=3", 60, batch=4, measure=lambda _: (status, None))
    assert len(real(done)) >= 20


def test_cheap_metrics_that_always_fail_do_not_end_the_search() -> None:
    def broken(ask: Ask) -> tuple[str, float | None]:
        return hidden(1.0, 1.0)(ask) if ask.fidelity is None else ("failed", None)

    assert sum(t.score is not None for t in play("robot:pool=10", 80, measure=broken)) == 60


@pytest.mark.parametrize("batch", [1, 8])
def test_a_small_space_is_its_own_pool(batch: int) -> None:
    done = play("robot", 30, space=Few(), measure=hidden(1.0, 1.0), batch=batch)
    assert {t.architecture for t in done if t.fidelity == 0} == set(Few().everything())
    assert len({t.architecture for t in real(done)[:9]}) == 9


def test_workers_that_are_asked_one_by_one_get_different_work() -> None:
    """Eight at a time: each is told eight asks later."""
    strategy = make("robot:pool=40,queries=20", Numbers(), fidelities=2)
    waiting: list[tuple[int, Ask]] = []
    keys: Counter[tuple[str, int | None]] = Counter()
    for number in range(300):
        ask = Ask.of(strategy.ask(Random(f"7/{number}"))[0])
        keys[ask.architecture.id, ask.fidelity] += 1
        waiting.append((number, ask))
        if len(waiting) == 8:
            first, done = waiting.pop(0)
            strategy.tell(told(first, done, hidden(1.0, -0.5)))
    assert sum(n - 1 for n in keys.values()) < 60  # of 300, at most a fifth was measured already


def test_it_beats_as_many_random_looks() -> None:
    def best(text: str, seed: int) -> float:
        done = play(text, 430, measure=hidden(1.0, -0.5), seed=seed)
        return max(t.score or -math.inf for t in real(done)[:20])

    assert (
        fmean(best("robot", s) for s in range(3)) > fmean(best("random_search", s) for s in range(3)) + 0.05
    )


@pytest.mark.parametrize(
    ("text", "fidelities", "word"),
    [
        ("robot", 1, "needs 2 cheaper metrics"),
        ("robot:pool=1", 2, "pool=200,queries=20"),
        ("robot:queries=0", 2, "pool=200,queries=20"),
        ("robot:kappa=-1", 2, "kappa=2"),
        ("robot:kappa=nan", 2, "kappa=2"),
    ],
)
def test_what_is_typed_wrongly_is_said(text: str, fidelities: int, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        make(text, Few(), fidelities=fidelities)


# --- the parts ---------------------------------------------------------------------------------------------


def test_columns_are_scaled_to_0_and_1() -> None:
    nan = math.nan
    assert _unit(np.array([1.0, 3.0, nan, 2.0])).tolist() == [0.0, 1.0, 0.0, 0.5]
    assert _unit(np.array([1.0, 1e6, 1e3])) == pytest.approx([0.0, 1.0, 0.5])  # in logarithms
    assert _unit(np.array([-1.0, -1e6, -1e3])) == pytest.approx([1.0, 0.0, 0.5])
    assert _unit(np.array([-1.0, 1e6, 0.0])) == pytest.approx([0.0, 1.0, 1e-6], abs=1e-9)  # two signs
    for nothing in ([nan, nan], [4.0, 4.0], []):
        assert _unit(np.array(nothing)).tolist() == [0.0] * len(nothing)


def test_the_process_is_that_of_the_joint_normal() -> None:
    rng = np.random.default_rng(0)
    x, new = rng.uniform(-1, 1, (6, 2)), rng.uniform(-1, 1, (4, 2))
    y = np.sin(3 * x[:, 0]) + x[:, 1]
    mean, deviation = posterior(x, y, new)
    covariances = {length: _matern(x, x, length) + NOISE * np.eye(6) for length in LENGTHS}
    likeliest = max(
        LENGTHS, key=lambda length: multivariate_normal(np.zeros(6), covariances[length]).logpdf(y)
    )
    inverse, across = np.linalg.inv(covariances[likeliest]), _matern(new, x, likeliest)
    np.testing.assert_allclose(mean, across @ inverse @ y, rtol=1e-6, atol=1e-8)
    variance = 1.0 - np.diag(across @ inverse @ across.T)
    np.testing.assert_allclose(deviation, np.sqrt(variance), rtol=1e-6, atol=1e-6)


def test_the_kernel_on_paper() -> None:
    a, b = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])
    r = math.sqrt(5) * 5 / 2
    assert _matern(a, b, 2.0)[0, 0] == pytest.approx((1 + r + r * r / 3) * math.exp(-r))
    assert _matern(a, a, 2.0)[0, 0] == 1.0
