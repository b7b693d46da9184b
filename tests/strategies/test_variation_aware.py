"""Comparing by ranks over draws: the test itself, and the strategy that draws more where it is in doubt."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import comb
from random import Random
from statistics import fmean
from typing import Any

import pytest
from scipy.stats import mannwhitneyu

from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.space import Space, choice
from untrained.core.strategy import Ask, make
from untrained.core.study import Trial
from untrained.strategies._rank_test import order, p_greater
from untrained.strategies.variation_aware import VariationAware


class Levers(Space):
    """Eight levers; the truth is how many are up, and every draw has noise."""

    name = "levers"
    number: int = choice(8)
    up: list[int] = choice(0, 1, 2, 3, per="number")

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


class Three(Space):
    name = "three"
    x: int = choice(0, 1, 2)

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


def truth(arch: Architecture) -> float:
    return float(sum(u == 3 for u in arch.up))


def told(number: int, ask: Ask, *scores: float, status: str = "ok", same_as: int | None = None) -> Trial:
    score = scores[0] if scores else None
    return Trial(
        number, ask.architecture, status, {}, score, scores, None, same_as, ask.fidelity, ask.draw, ask.note
    )


def play(
    text: str, trials: int, *, noise: float = 2.0, batch: int = 1, seed: int = 0, restart: bool = False
) -> tuple[list[Trial], Any]:
    strategy: Any = make(text, Levers())
    done: list[Trial] = []
    while len(done) < trials:
        if restart:
            strategy = make(text, Levers())
            for trial in done:
                strategy.tell(trial)
        asks = [Ask.of(a) for a in strategy.ask(Random(f"{seed}/{len(done)}"), batch)]
        assert len(asks) == batch
        for ask in asks:
            luck = Random(f"{seed} {ask.architecture.id} {ask.draw}")
            if ask.architecture.up[0] == 0 or luck.random() < 0.02:
                status = "rejected" if ask.architecture.up[0] == 0 else "failed"
                done.append(told(len(done), ask, status=status))
            else:
                done.append(told(len(done), ask, truth(ask.architecture) + luck.gauss(0.0, noise)))
            strategy.tell(done[-1])
    return done, strategy


class Scripted:
    """A `VariationAware` whose inner strategy offers what is written down, and keeps what it is told."""

    def __init__(self, options: str, *offers: int) -> None:
        self.strategy: VariationAware = make(f"variation_aware:{options}", Three())  # type: ignore[assignment]
        self.heard: list[Trial] = []
        inner: Any = self.strategy.inner
        waiting = [Architecture.of("three", x=x) for x in offers]

        def ask(rng: Random, n: int = 1) -> list[Ask]:
            known = {t.architecture for t in self.heard}
            left = [a for a in waiting if a not in known] or waiting
            return [Ask(left[i % len(left)], note=("of", left[i % len(left)].x)) for i in range(n)]

        inner.ask, inner.tell = ask, self.heard.append
        self.number = 0

    def ask(self, n: int = 1) -> list[tuple[int, int]]:
        return [(a.architecture.x, a.draw) for a in self.asks(n)]

    def asks(self, n: int = 1) -> list[Ask]:
        return self.strategy.ask(Random(0), n)

    def tell(self, *scores: float, status: str = "ok") -> None:
        """Of the next one that is asked for."""
        (ask,) = self.asks()
        self.strategy.tell(told(self.number, ask, *scores, status=status))
        self.number += 1

    @property
    def said(self) -> list[tuple[int, float | None]]:
        return [(t.architecture.x, t.score) for t in self.heard]


# --- the rank test -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "p"),
    [
        ([1.0], [0.0], 1 / 2),
        ([4.0, 5.0, 6.0], [1.0, 2.0, 3.0], 1 / 20),
        ([4.0, 5.0, 3.0], [1.0, 2.0, 3.5], 2 / 20),  # U = 8: one deal of 20 has 9, one has 8
        ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], 1.0),
        ([5.0, 5.0], [5.0, 5.0], 1.0),
        ([2.0, 2.0], [1.0, 1.0], 1 / 6),
        ([2.0, 1.0], [1.0, 1.0], 1 / 2),  # the 2 is in the first sample in half of the deals
        ([9.0], [1.0, 2.0, 3.0, 4.0], 1 / 5),
        ([9.0] * 10, [1.0] * 10, 1 / comb(20, 10)),
    ],
)
def test_the_rank_test_on_paper(a: list[float], b: list[float], p: float) -> None:
    assert p_greater(a, b) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize("levels", [3, 1000])
def test_the_rank_test_is_that_of_all_deals(levels: int) -> None:
    luck = Random(levels)
    for n, m in [(1, 4), (2, 5), (4, 4), (5, 3), (3, 6)] * 3:
        pooled = [float(luck.randrange(levels)) for _ in range(n + m)]

        def u(first: tuple[int, ...], pooled: list[float] = pooled) -> float:
            rest = [pooled[i] for i in range(len(pooled)) if i not in first]
            return sum((pooled[i] > y) + 0.5 * (pooled[i] == y) for i in first for y in rest)

        found = u(tuple(range(n)))
        deals = [u(first) for first in combinations(range(n + m), n)]
        assert p_greater(pooled[:n], pooled[n:]) == pytest.approx(sum(d >= found for d in deals) / len(deals))


def test_the_rank_test_is_that_of_scipy() -> None:
    luck = Random(5)
    for n, m in [(3, 10), (10, 10), (7, 4), (25, 20)]:
        a, b = ([luck.gauss(mean, 1.0) for _ in range(k)] for mean, k in ((0.5, n), (0.0, m)))
        theirs = mannwhitneyu(a, b, alternative="greater", method="exact").pvalue
        assert p_greater(a, b) == pytest.approx(theirs, rel=1e-9)


def test_the_order_is_the_side_that_is_sure() -> None:
    low, high = [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
    assert (order(high, low, 0.05), order(low, high, 0.05)) == (1, -1)
    assert (order(high, low, 0.04), order(low, high, 0.04), order(low, low, 0.4)) == (0, 0, 0)


# --- the strategy on paper -------------------------------------------------------------------------------


def test_a_network_is_drawn_told_once_and_is_the_first_best() -> None:
    play = Scripted("draws=3", 0, 1)
    assert play.ask(3) == [(0, 0), (0, 1), (0, 2)]
    for score in (1.0, 5.0, 3.0):
        assert not play.said
        play.tell(score)
    assert play.said == [(0, 3.0)]
    (heard,) = play.heard
    assert (heard.scores, heard.draw, heard.note, heard.number) == ((3.0,), 0, ("of", 0), 2)
    assert play.ask() == [(1, 0)]


def test_a_clear_order_takes_no_further_draws() -> None:
    play = Scripted("draws=3", 0, 1, 2)
    for score in (4.0, 5.0, 6.0, 1.0, 2.0, 3.0, 7.0, 8.0, 9.0):
        play.tell(score)
    assert play.said == [(0, 5.0), (1, 2.0), (2, 8.0)]
    assert play.strategy.best is not None
    assert play.strategy.best.first.architecture.x == 2


def test_doubt_draws_the_one_with_fewer_draws_until_it_is_gone() -> None:
    play = Scripted("draws=3,most=5", 0, 1)
    for score in (1.0, 2.0, 3.0, 2.5, 3.5, 4.5):  # U = 8 of 9: p = 0.1
        play.tell(score)
    assert play.ask() == [(1, 3)]  # as many draws: the new one first
    play.tell(5.0)  # 2.5 3.5 4.5 5 against 1 2 3: U = 11 of 12, p = 2/35 = 0.057
    assert play.ask() == [(0, 3)]
    play.tell(0.0)  # U = 15 of 16, p = 2/70
    assert play.said == [(0, 2.0), (1, pytest.approx(3.875))]


def test_a_tie_keeps_the_best_and_is_told_no_better() -> None:
    play = Scripted("draws=3,most=4", 0, 1, 2)
    for score in (1.0, 2.0, 3.0, 1.5, 2.5, 3.5):
        play.tell(score)
    assert play.ask() == [(1, 3)]
    play.tell(2.2)
    assert play.ask() == [(0, 3)]
    play.tell(2.0)
    assert play.said == [(0, 2.0), (1, 2.0)]  # its mean is 2.425
    assert play.strategy.best is not None
    assert play.strategy.best.first.architecture.x == 0
    assert play.ask() == [(2, 0)]


def test_a_tie_below_is_told_as_it_is() -> None:
    play = Scripted("draws=3,most=3,alpha=0.05", 0, 1)
    for score in (1.0, 2.0, 3.0, 0.5, 1.5, 2.5):
        play.tell(score)
    assert play.said == [(0, 2.0), (1, 1.5)]


@pytest.mark.parametrize("status", ["failed", "rejected"])
def test_one_draw_without_a_score_ends_it(status: str) -> None:
    play = Scripted("draws=3", 0, 1)
    batch = play.asks(3)
    play.strategy.tell(told(0, batch[0], 1.0))
    play.strategy.tell(told(1, batch[1], status=status))
    play.strategy.tell(told(2, batch[2], 3.0))  # too late
    assert [(t.score, t.status, t.note) for t in play.heard] == [(None, status, ("of", 0))]
    assert play.ask() == [(1, 0)]


def test_a_failed_draw_of_the_best_counts_but_is_not_compared() -> None:
    play = Scripted("draws=3,most=4", 0, 1)
    for score in (1.0, 2.0, 3.0, 1.5, 2.5, 3.5, 2.2):
        play.tell(score)
    play.tell(status="failed")
    assert play.said == [(0, 2.0), (1, 2.0)]


def test_a_batch_draws_several_networks_side_by_side() -> None:
    play = Scripted("draws=3", 0, 1, 2)
    assert play.ask(8) == [(x, draw) for x in (0, 1, 2) for draw in (0, 1, 2)][:8]
    for number, ask in enumerate(play.asks(8)):
        play.strategy.tell(told(number, ask, float(3 * ask.architecture.x + ask.draw)))
    assert play.said == [(0, 1.0), (1, 4.0)]
    assert play.ask(1) == [(2, 2)]


def test_all_objectives_are_means_and_the_first_decides() -> None:
    play = Scripted("draws=2,most=3", 0)
    play.tell(1.0, 10.0)
    play.tell(3.0, 30.0)
    assert play.heard[0].scores == (2.0, 20.0)


def test_a_network_without_variation_costs_no_order() -> None:
    play = Scripted("draws=3,most=5", 0, 1, 2)
    for score in [7.0] * 3 + [8.0] * 3 + [7.0] * 3:
        play.tell(score)
    assert play.said == [(0, 7.0), (1, 8.0), (2, 7.0)]


def test_where_the_space_has_no_more_the_inner_strategy_is_told_again() -> None:
    play = Scripted("draws=3", 0, 1, 2)
    for score in range(9):
        play.tell(float(score))
    (again,) = play.asks()
    play.strategy.tell(told(9, again, 0.0, same_as=0))
    assert play.said == [(0, 1.0), (1, 4.0), (2, 7.0), (0, 1.0)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("draws=0", "draws=3,most=10"),
        ("draws=5,most=4", "draws=3,most=10"),
        ("alpha=0.5", "alpha=0.05"),
        ("alpha=0", "alpha=0.05"),
        ("draws=2,most=2", "no order is ever sure at alpha=0.05"),  # 1/6 at best
        ("inner=nonsense", "no strategy is called 'nonsense'"),
        ("inner=zero_cost_moves", "looks cheaply first itself"),
        ("draws=few", "not of type int"),
    ],
)
def test_what_is_typed_wrongly_is_said(text: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        make(f"variation_aware:{text}", Three(), fidelities=1)


def test_draws_inside_draws_are_refused() -> None:
    strategy = make("variation_aware:inner=variation_aware", Levers())
    with pytest.raises(UsageError, match="draws several times itself"):
        strategy.ask(Random(0), 4)


# --- the strategy at work ----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 8])
def test_luck_decides_and_being_told_again_restores_it(batch: int) -> None:
    text = "variation_aware:draws=2,most=5"
    once = play(text, 160, batch=batch)[0]
    assert once == play(text, 160, batch=batch)[0] != play(text, 160, batch=batch, seed=1)[0]
    assert once == play(text, 160, batch=batch, restart=True)[0]


@pytest.mark.parametrize("batch", [1, 8])
def test_no_draw_is_asked_for_twice_and_most_networks_get_the_least(batch: int) -> None:
    done, strategy = play("variation_aware:draws=3,most=8", 600, batch=batch, noise=1.0)
    keys = Counter((t.architecture.id, t.draw) for t in done)
    assert max(keys.values()) == 1
    draws = Counter(arch for arch, _ in keys)
    assert max(draws.values()) <= 8
    assert sum(n <= 4 for n in draws.values()) > 0.5 * len(draws)
    assert strategy.crowd.size == 0


def test_asking_changes_nothing() -> None:
    done, strategy = play("variation_aware", 100)
    first = strategy.ask(Random(3), 9)
    strategy.ask(Random(4), 30)
    assert strategy.ask(Random(3), 9) == first
    assert len(done) == 100


@pytest.mark.parametrize("status", ["failed", "rejected"])
def test_a_search_without_a_single_score_goes_on(status: str) -> None:
    strategy = make("variation_aware", Levers())
    for number in range(0, 200, 8):
        for i, ask in enumerate(strategy.ask(Random(number), 8)):
            strategy.tell(told(number + i, Ask.of(ask), status=status))
    assert len(strategy.ask(Random(0), 8)) == 8


def test_its_best_is_better_than_the_best_single_draw() -> None:
    """At equal numbers of draws, against random draws and against the same evolution that trusts one draw."""
    rest = "population=20,tournament=5"

    def chosen(text: str, seed: int) -> float:
        done, strategy = play(text, 600, seed=seed, noise=2.0)
        if isinstance(strategy, VariationAware):
            assert strategy.best is not None
            return truth(strategy.best.first.architecture)
        return truth(max((t for t in done if t.score is not None), key=lambda t: t.score or 0.0).architecture)

    ours = fmean(chosen(f"variation_aware:inner=regularized_evolution({rest})", s) for s in range(6))
    random = fmean(chosen("random_search", s) for s in range(6))
    assert ours > random + 1.0
