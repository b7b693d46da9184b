"""Strategies on a space whose best answer is known."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.errors import UnknownName, UsageError
from untrained.core.space import Space, choice
from untrained.core.strategy import Strategy, make
from untrained.core.study import Trial


class Bits(Space):
    """Twelve decisions; the score is how many of them are 3."""

    name = "bits"
    length: int = choice(12)
    bits: list[int] = choice(0, 1, 2, 3, per="length")

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


def score(arch: Architecture) -> float:
    return float(sum(b == 3 for b in arch.bits))


def search(strategy: Strategy, trials: int, *, seed: int = 0, restart: int | None = None) -> list[Trial]:
    """Asks and tells; with `restart`, a fresh strategy takes over there, told the trials so far."""
    done: list[Trial] = []
    for n in range(trials):
        if n == restart:
            strategy = make(f"{strategy.name}", strategy.space)
            for trial in done:
                strategy.tell(trial)
        (arch,) = strategy.ask(Random(f"{seed}/{n}"))
        value = score(arch)
        good = arch.bits[0] != 0  # a constraint that turns away a quarter of the random draws
        done.append(Trial(n, arch, "ok" if good else "rejected", score=value if good else None))
        strategy.tell(done[-1])
    return done


NAMES = ["random_search", "regularized_evolution"]


@pytest.mark.parametrize("name", NAMES)
def test_equal_luck_gives_equal_trials(name: str) -> None:
    first, second = (search(make(name, Bits()), 200) for _ in range(2))
    assert first == second != search(make(name, Bits()), 200, seed=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("restart", [1, 30, 150])
def test_being_told_again_restores_it(name: str, restart: int) -> None:
    assert search(make(name, Bits()), 200, restart=restart) == search(make(name, Bits()), 200)


@pytest.mark.parametrize("name", NAMES)
def test_asking_changes_nothing_and_gives_as_many_as_asked(name: str) -> None:
    strategy = make(name, Bits())
    for trial in search(make(name, Bits()), 100):
        strategy.tell(trial)
    once = strategy.ask(Random(5), 7)
    assert len(once) == 7
    assert strategy.ask(Random(5), 7) == once


@pytest.mark.parametrize("name", NAMES)
def test_the_card_has_a_sentence_and_a_source(name: str) -> None:
    doc = registry.get("strategy", name).__doc__
    assert registry.summary("strategy", name).endswith(".")
    assert "Source:" in doc
    assert "arXiv:" in doc


def test_evolution_beats_random_draws() -> None:
    best = {
        name: [max(t.score or 0.0 for t in search(make(name, Bits()), 400, seed=s)) for s in range(5)]
        for name in NAMES
    }
    assert min(best["regularized_evolution"]) > max(best["random_search"])


def arch(*bits: int) -> Architecture:
    return Architecture.of("bits", length=12, bits=bits + (0,) * (12 - len(bits)))


def test_the_oldest_dies_and_not_the_worst() -> None:
    strategy = make("regularized_evolution:population=3,tournament=3", Bits())
    for n, value in enumerate([9.0, 1.0, 2.0, 3.0]):
        strategy.tell(Trial(n, arch(n), "ok", score=value))
    assert list(strategy.alive) == [(1.0, arch(1)), (2.0, arch(2)), (3.0, arch(3))]  # type: ignore[attr-defined]


def test_children_are_one_step_from_the_winner() -> None:
    strategy = make("regularized_evolution:population=3,tournament=3", Bits())
    for n in range(3):
        strategy.tell(Trial(n, arch(n), "ok", score=float(n)))
    children = strategy.ask(Random(0), 200)
    near = [
        sum(sum(a != b for a, b in zip(child.bits, arch(n).bits, strict=True)) == 1 for child in children)
        for n in range(3)
    ]
    # With replacement the best of three wins unless it is not drawn: 1 - (2/3)^3 = 0.70.
    assert near[2] > 0.6 * len(children)


def test_trials_without_a_score_have_no_place() -> None:
    strategy = make("regularized_evolution:population=4,tournament=2", Bits())
    strategy.tell(Trial(0, arch(1), "ok", score=1.0))
    for n in range(1, 20):
        strategy.tell(Trial(n, arch(2), "rejected", reason="params <= 8e6"))
    assert len(strategy.alive) == 1  # type: ignore[attr-defined]
    drawn = strategy.ask(Random(0), 50)  # one parent is no tournament: still random
    assert len({a.id for a in drawn}) > 45
    strategy.tell(Trial(20, arch(1), "ok", score=1.0))
    children = strategy.ask(Random(0), 50)
    assert all(sum(a != b for a, b in zip(c.bits, arch(1).bits, strict=True)) == 1 for c in children)


@pytest.mark.parametrize(
    "text", ["population=0", "tournament=0", "population=5,tournament=6", "population=x", "pop=3"]
)
def test_bad_options_are_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"pop|tournament"):
        make(f"regularized_evolution:{text}", Bits())


def test_an_unknown_strategy_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="random_search"):
        make("random_serch", Bits())
