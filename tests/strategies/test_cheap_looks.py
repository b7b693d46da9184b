"""Strategies that look cheaply first: rungs, brackets, warm-up and moves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from random import Random
from statistics import fmean
from typing import Any

import pytest

from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.space import Space, choice
from untrained.core.strategy import Ask, Strategy, make
from untrained.core.study import Trial
from untrained.strategies._inner import Crowd, noted, worth
from untrained.strategies.asha import Asha, Rung
from untrained.strategies.hyperband import Hyperband
from untrained.strategies.successive_halving import SuccessiveHalving
from untrained.strategies.zero_cost_moves import ZeroCostMoves
from untrained.strategies.zero_cost_warmup import ZeroCostWarmup

NAMES = [
    "successive_halving:start=27",
    "hyperband",
    "asha",
    "asha:inner=regularized_evolution(population=10,tournament=3)",
    "zero_cost_warmup:pool=40,start=10,inner=regularized_evolution(population=10,tournament=3)",
    "zero_cost_warmup:pool=40,start=10,inner=variation_aware(draws=2)",
    "zero_cost_moves:pool=5",
]


class Digits(Space):
    """Twelve digits; the score is how many of them are 3."""

    name = "digits"
    digits_of: int = choice(12)
    digits: list[int] = choice(0, 1, 2, 3, per="digits_of")

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


class Few(Space):
    """Nine architectures."""

    name = "few"
    x: int = choice(0, 1, 2)
    y: int = choice(0, 1, 2)

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


def truth(arch: Architecture) -> float:
    return float(sum(d == 3 for d in arch.digits)) if arch.space == "digits" else 3.0 * arch.x + arch.y


def measured(ask: Ask) -> tuple[str, float | None]:
    """Cheaper metrics are the truth with more noise; some asks fail, some are turned away."""
    luck = Random(f"{ask.architecture.id} {ask.fidelity} {ask.draw}")
    noise = 0.0 if ask.fidelity is None else luck.gauss(0.0, 1.0 / (1 + ask.fidelity))
    if ask.architecture.space == "digits" and ask.architecture.digits[0] == 0:
        return "rejected", None
    if luck.random() < 0.05:
        return "failed", None
    return "ok", truth(ask.architecture) + noise


Measure = Callable[[Ask], tuple[str, float | None]]


def told(number: int, ask: Ask, measure: Measure = measured) -> Trial:
    status, score = measure(ask)
    scores = () if score is None else (score,)
    return Trial(
        number, ask.architecture, status, {}, score, scores, None, None, ask.fidelity, ask.draw, ask.note
    )


def play(
    text: str,
    trials: int,
    *,
    batch: int = 1,
    seed: int = 0,
    fidelities: int = 2,
    space: Space | None = None,
    measure: Measure = measured,
    restart: bool = False,
) -> list[Trial]:
    """A search; with `restart`, a fresh strategy is told everything again before each batch."""
    place = space or Digits()
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


def start(text: str, fidelities: int = 1, space: Space | None = None) -> Any:
    return make(text, space or Few(), fidelities=fidelities)


def tell(strategy: Strategy, ask: Ask, value: float | str, number: int = 0) -> None:
    """`value` is a score, or the status of a trial without one."""
    found = (value, None) if isinstance(value, str) else ("ok", value)
    strategy.tell(told(number, ask, lambda _: found))


def asked(strategy: Strategy, n: int = 1, seed: int = 0) -> list[Ask]:
    return [Ask.of(a) for a in strategy.ask(Random(seed), n)]


def each(*values: float | str) -> list[float | str]:
    return list(values)


def few(x: int, y: int) -> Architecture:
    return Architecture.of("few", x=x, y=y)


# --- what every strategy keeps --------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("text", NAMES)
def test_luck_decides_and_being_told_again_restores_it(text: str, batch: int) -> None:
    once = play(text, 120, batch=batch)
    assert once == play(text, 120, batch=batch) != play(text, 120, batch=batch, seed=1)
    assert once == play(text, 120, batch=batch, restart=True)


@pytest.mark.parametrize("text", NAMES)
def test_asking_changes_nothing(text: str) -> None:
    strategy = start(text, 2, Digits())
    for trial in play(text, 100):
        strategy.tell(trial)
    first = asked(strategy, 7)
    asked(strategy, 20, seed=1)
    assert asked(strategy, 7) == first
    assert len(first) == 7


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("text", [t for t in NAMES if "warmup" not in t])
def test_nothing_is_asked_twice(text: str, batch: int) -> None:
    keys = Counter((t.architecture.id, t.fidelity, t.draw) for t in play(text, 400, batch=batch))
    assert max(keys.values()) == 1


@pytest.mark.parametrize("text", NAMES)
@pytest.mark.parametrize("status", ["failed", "rejected"])
def test_a_search_without_a_single_score_goes_on(text: str, status: str) -> None:
    done = play(text, 200, batch=8, measure=lambda ask: (status, None))
    if status == "failed":  # the cheap metric alone may be broken: the real one is tried nevertheless
        assert any(t.fidelity is None for t in done)


@pytest.mark.parametrize("text", NAMES)
def test_a_broken_cheap_metric_does_not_end_the_search(text: str) -> None:
    def broken(ask: Ask) -> tuple[str, float | None]:
        return measured(ask) if ask.fidelity is None else ("failed", None)

    assert sum(t.score is not None for t in play(text, 200, measure=broken)) >= 5


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("text", NAMES)
def test_a_space_that_is_used_up_is_no_error(text: str, batch: int) -> None:
    done = play(text, 200, batch=batch, space=Few())
    real = {t.architecture.id for t in done if t.fidelity is None}
    assert len(real) >= 6  # nearly all of nine


@pytest.mark.parametrize("text", NAMES)
def test_it_needs_a_cheaper_metric_and_lives_with_several(text: str) -> None:
    with pytest.raises(UsageError, match="needs 1 cheaper metric"):
        make(text, Digits())
    for fidelities in (1, 4):
        used = {t.fidelity for t in play(text, 400, fidelities=fidelities)}
        assert {None, 0} <= used <= {None, *range(fidelities)}


@pytest.mark.parametrize("text", NAMES)
def test_it_beats_as_many_random_looks_at_the_real_objective(text: str) -> None:
    def best(text: str, seed: int) -> float:
        # No first digit is turned away and nothing fails, so that as many count.
        def measure(ask: Ask) -> tuple[str, float | None]:
            luck = Random(f"{ask.architecture.id} {ask.fidelity}")
            noise = 0.0 if ask.fidelity is None else luck.gauss(0.0, 1.0 / (1 + ask.fidelity))
            return "ok", truth(ask.architecture) + noise

        done = play(text, 600, seed=seed, measure=measure, batch=4)
        return max([t.score or 0.0 for t in done if t.fidelity is None][:30])

    ours, random = (fmean(best(t, seed) for seed in range(4)) for t in (text, "random_search"))
    assert ours > random + 0.4


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("successive_halving:start=0", "start=81"),
        ("successive_halving:eta=1", "eta=3"),
        ("hyperband:eta=0", "eta=3"),
        ("asha:eta=1", "eta=3"),
        ("zero_cost_warmup:pool=10,start=11", "pool=1000,start=50"),
        ("zero_cost_warmup:start=0", "pool=1000,start=50"),
        ("zero_cost_moves:pool=0", "pool=1 or more"),
        ("zero_cost_moves:random=1.5", "random=0 to random=1"),
        ("asha:inner=hyperband", "inner=random_search"),
        ("zero_cost_moves:inner=nonsense", "no strategy is called 'nonsense'"),
        ("asha:inner=regularized_evolution(size=3)", "has no option 'size'"),
    ],
)
def test_what_is_typed_wrongly_is_said(text: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        make(text, Few(), fidelities=1)


@pytest.mark.parametrize("text", ["asha", "hyperband", "successive_halving", "zero_cost_moves"])
def test_an_inner_strategy_that_draws_itself_belongs_outside(text: str) -> None:
    strategy = start(f"{text}:inner=variation_aware(draws=2)")
    with pytest.raises(UsageError, match="variation_aware:inner="):
        asked(strategy, 4)


# --- the small parts -------------------------------------------------------------------------------------


def test_what_a_trial_is_worth() -> None:
    trials = [
        Trial(0, few(0, 0), "ok", score=2.0),
        Trial(0, few(0, 0), "failed"),
        Trial(0, few(0, 0), "rejected"),
    ]
    assert [worth(t) for t in trials] == [2.0, -math.inf, None]


def test_a_note_of_somebody_else_is_no_promotion() -> None:
    assert noted((True, (1, 2))) == (True, (1, 2))
    for note in (None, (1, 2), "up", (True, 1, 2)):
        assert noted(note) == (False, note)


def test_a_crowd_shows_by_what_is_told_twice() -> None:
    crowd = Crowd()
    assert crowd.pick(Random(0), range(9), 3) == [0, 1, 2]
    for _ in range(9):
        crowd.told(again=True)
    assert crowd.size == 9
    picks = [crowd.pick(Random(n), [5], 1) for n in range(1000)]
    assert 60 < picks.count([5]) < 140  # one in ten
    several = [crowd.pick(Random(n), range(91), 1) for n in range(1000)]
    assert 860 < sum(map(len, several)) < 940  # 91 in a hundred
    assert len({p for pick in several for p in pick}) == 91
    for _ in range(200):
        crowd.told(again=False)
    assert crowd.size == 0


# --- brackets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fidelities", "sizes"),
    [
        ("successive_halving", 1, [(0, (81, 27))]),
        ("successive_halving", 3, [(0, (81, 27, 9, 3))]),
        ("successive_halving:start=10,eta=2", 4, [(0, (10, 5, 2, 1, 1))]),
        # The table of the paper for R = 81, eta = 3: 81 27 9 3 1 | 34 11 3 1 | 15 5 1 | 8 2 | 5.
        (
            "hyperband",
            4,
            [(0, (81, 27, 9, 3, 1)), (1, (34, 11, 3, 1)), (2, (15, 5, 1)), (3, (8, 2)), (4, (5,))],
        ),
        ("hyperband:eta=2", 2, [(0, (4, 2, 1)), (1, (3, 1)), (2, (3,))]),
        ("hyperband", 1, [(0, (3, 1)), (1, (2,))]),
    ],
)
def test_sizes_of_brackets(text: str, fidelities: int, sizes: list[tuple[int, tuple[int, ...]]]) -> None:
    assert [(p.entry, p.sizes) for p in start(text, fidelities).plans()] == sizes


def test_halving_on_paper() -> None:
    strategy: SuccessiveHalving = start("successive_halving:start=6,eta=2", 2, Digits())
    asks: list[Ask] = []
    for number, value in enumerate(each(1.0, 5.0, 3.0, "rejected", "failed", 4.0, 2.0)):
        asks += asked(strategy)
        assert asks[-1].fidelity == 0
        tell(strategy, asks[-1], value, number)
    # One was turned away and took no place; 5, 4 and 3 go on, best first.
    second = [asks[1].architecture, asks[5].architecture, asks[2].architecture]
    assert [a.architecture for a in asked(strategy, 3)] == second
    assert {a.fidelity for a in asked(strategy, 3)} == {1}
    for ask, value in zip(asked(strategy, 3), each("failed", 1.0, "rejected"), strict=True):
        tell(strategy, ask, value)
    (last,) = asked(strategy)
    assert (last.architecture, last.fidelity) == (second[1], None)
    tell(strategy, last, 9.0)
    assert (asked(strategy)[0].fidelity, len(strategy.open)) == (0, 0)


def test_a_rung_of_failures_goes_on_in_the_order_of_asking() -> None:
    strategy = start("successive_halving:start=4,eta=2", 1, Digits())
    first = asked(strategy, 4)
    for ask in first:
        tell(strategy, ask, "failed")
    assert [(a.architecture, a.fidelity) for a in asked(strategy, 2)] == [
        (a.architecture, None) for a in first[:2]
    ]


def test_a_rung_that_turns_all_away_ends_the_bracket() -> None:
    strategy: SuccessiveHalving = start("successive_halving:start=4,eta=2", 2, Digits())
    for value in each(1.0, "rejected"):
        for ask in asked(strategy, 4 if value == 1.0 else 2):
            tell(strategy, ask, value)
    assert not strategy.open
    assert asked(strategy)[0].fidelity == 0


@pytest.mark.parametrize("text", ["successive_halving:start=9", "hyperband"])
def test_a_batch_beyond_a_rung_begins_the_next_bracket(text: str) -> None:
    sync, batched = play(text, 400, fidelities=2), play(text, 400, fidelities=2, batch=8)
    for done in (sync, batched):
        assert not any(t.status == "rejected" and t.fidelity is None for t in done if noted(t.note)[0])
    counts = [Counter(t.fidelity for t in done) for done in (sync, batched)]
    # As many at each rung, but for the brackets under way at the end.
    assert all(abs(counts[0][f] - counts[1][f]) <= 30 for f in (0, 1, None))


def test_a_batch_fills_what_is_lacking_first() -> None:
    strategy: SuccessiveHalving = start("successive_halving:start=9", 1, Digits())
    for ask in asked(strategy, 8):
        tell(strategy, ask, truth(ask.architecture))
    batch = asked(strategy, 8, seed=1)
    for number, ask in enumerate(batch):
        assert ask.fidelity == 0
        tell(strategy, ask, "rejected" if number == 0 else 0.0, number)
    # The first was turned away, so the second took its place; the others are in the next bracket.
    assert [b.room for b in strategy.open] == [0, 3]
    assert [a.fidelity for a in asked(strategy, 8)] == [None] * 3 + [0] * 5


def test_hyperband_mixes_rungs_in_a_batch() -> None:
    strategy: Hyperband = start("hyperband", 1, Digits())
    batch = asked(strategy, 7)
    assert Counter(a.fidelity for a in batch) == {0: 5, None: 2}  # 3 of the first, 2, 2 of the third
    for ask in batch:
        tell(strategy, ask, truth(ask.architecture))
    best = max(batch[:3], key=lambda a: truth(a.architecture))
    assert asked(strategy)[0] == Ask(best.architecture, None, 0, (True, None))


def test_what_another_bracket_has_measured_is_not_asked_again() -> None:
    done = play("hyperband", 300, space=Few(), fidelities=1)
    promoted = [t.architecture.id for t in done if noted(t.note)[0]]
    entered = {t.architecture.id for t in done if t.fidelity is None and not noted(t.note)[0]}
    assert len(promoted) == len(set(promoted))
    assert not any(
        t.architecture.id in {e.architecture.id for e in done[:n] if e.fidelity is None}
        for n, t in enumerate(done)
        if noted(t.note)[0]
    )
    assert entered


def test_the_inner_strategy_is_told_of_the_real_objective_alone() -> None:
    heard: list[Trial] = []
    for text in ("asha", "successive_halving:start=9", "hyperband", "zero_cost_moves:pool=4"):
        strategy = start(text, 1, Digits())
        heard.clear()
        strategy.inner.tell = heard.append
        done = []
        for number in range(60):
            (ask,) = asked(strategy, seed=number)
            done.append(told(number, ask))
            strategy.tell(done[-1])
        real = [t for t in done if t.fidelity is None]
        assert [(t.number, t.score, t.note) for t in heard] == [(t.number, t.score, None) for t in real]


def test_the_inner_strategys_notes_come_back_to_it() -> None:
    for text in ("asha:eta=2", "successive_halving:start=4,eta=2", "zero_cost_moves:pool=2,random=0.3"):
        strategy, heard = start(text, 1, Digits()), list[Trial]()
        inner = strategy.inner
        inner.ask = lambda rng, n=1: [
            Ask(a, note=("of", a.id)) for a in [Digits().sample(rng) for _ in range(n)]
        ]
        inner.tell = heard.append
        for number in range(60):
            (ask,) = asked(strategy, seed=number)
            strategy.tell(told(number, ask))
        assert len(heard) > 5
        assert all(t.note == ("of", t.architecture.id) for t in heard)


# --- asha ------------------------------------------------------------------------------------------------


def test_a_rung_knows_its_best_third_at_any_time() -> None:
    rung, luck = Rung(3), Random(0)
    places = []
    for n in range(300):
        place = (float(luck.randrange(50)), -n, few(0, 0), None)
        places.append(place)
        rung.take((place[0], -n, Architecture.of("few", x=n), None), ())
        best = sorted(places, key=lambda p: p[:2], reverse=True)[: (n + 1) // 3]
        assert sorted(p[:2] for p in rung.top) == sorted(p[:2] for p in best)
        assert {p[:2] for p in rung.due.values()} == {p[:2] for p in best}


def test_promotion_on_paper() -> None:
    strategy: Asha = start("asha", 2, Digits())
    asks: list[Ask] = []
    for number, value in enumerate(each(1.0, 3.0, "rejected")):
        asks += asked(strategy, seed=number)
        tell(strategy, asks[-1], value, number)
        assert asked(strategy)[0].fidelity == 0  # two in the rung: nobody is in the best third yet
    asks += asked(strategy)
    tell(strategy, asks[3], 2.0, 3)
    assert asked(strategy)[0] == Ask(asks[1].architecture, 1, 0, (True, None))  # 3 is the best of three
    tell(strategy, asked(strategy)[0], 7.0, 4)
    for number, value in enumerate(each(9.0, "failed", 8.0), start=5):
        asks += asked(strategy, seed=number)
        assert asks[-1].fidelity == 0
        tell(strategy, asks[-1], value, number)
        if number == 5:  # 9 takes the place of 3, which has gone on already
            assert asked(strategy)[0].architecture == asks[-1].architecture
            tell(strategy, asked(strategy)[0], 1.0, 5)
    # Two of six, 9 and 8; 9 has gone on. A batch takes it first and goes on drawing.
    batch = asked(strategy, 3)
    assert [(a.architecture == asks[-1].architecture, a.fidelity) for a in batch] == [
        (True, 1),
        (False, 0),
        (False, 0),
    ]
    tell(strategy, batch[0], "failed", 9)
    assert asked(strategy)[0] == Ask(asks[1].architecture, None, 0, (True, None))  # 7 of 7, 1, failed


def test_promotion_does_not_wait_for_what_is_under_way() -> None:
    """Eight workers, told in any order: some are told twice, most are not, and all rungs are used."""
    strategy, luck = start("asha", 2, Digits()), Random(1)
    flying: list[Ask] = []
    done: list[Trial] = []
    for number in range(800):
        while len(flying) < 8:
            flying += asked(strategy, seed=len(done) * 100 + len(flying))
        # The real objective takes ten times as long.
        late = [0.1 if a.fidelity is None else 1.0 for a in flying]
        (ask,) = luck.choices(flying, late)
        flying.remove(ask)
        done.append(told(number, ask))
        strategy.tell(done[-1])
    keys = Counter((t.architecture.id, t.fidelity) for t in done)
    assert sum(keys.values()) - len(keys) < 200
    used = Counter(f for _, f in keys)
    assert used[0] > 300
    assert used[1] > 0.7 * used[0] / 3
    assert used[None] > 0.5 * used[0] / 9


# --- warm-up ---------------------------------------------------------------------------------------------


def test_the_search_begins_with_the_best_of_the_pool() -> None:
    text = "zero_cost_warmup:pool=5,start=2,inner=regularized_evolution(population=2,tournament=2)"
    strategy: ZeroCostWarmup = start(text, 1, Digits())
    first = asked(strategy, 5)
    assert all(a.fidelity == 0 for a in first)
    for number, (ask, value) in enumerate(zip(first, each(1.0, 4.0, "rejected", 3.0, "failed"), strict=True)):
        tell(strategy, ask, value, number)
    best = [first[1].architecture, first[3].architecture]
    assert [a.architecture for a in asked(strategy, 2)] == best
    assert {a.fidelity for a in asked(strategy, 8)} == {None}
    tell(strategy, asked(strategy)[0], 0.0)
    assert asked(strategy)[0].architecture == best[1]
    tell(strategy, asked(strategy)[0], 9.0)
    children = asked(strategy, 50)
    steps = [
        sum(a != b for a, b in zip(c.architecture.digits, best[1].digits, strict=True)) for c in children
    ]
    assert steps.count(1) > 25  # the winner's, in three of four tournaments


def test_a_pool_that_is_turned_away_begins_with_what_the_inner_strategy_draws() -> None:
    strategy = start("zero_cost_warmup:pool=4,start=2", 1, Digits())
    for ask in asked(strategy, 4):
        tell(strategy, ask, "rejected")
    assert {a.fidelity for a in asked(strategy, 3)} == {None}


def test_a_late_look_does_not_disturb_the_search() -> None:
    strategy: ZeroCostWarmup = start("zero_cost_warmup:pool=4,start=2", 1, Digits())
    looks = asked(strategy, 6)
    for number, ask in enumerate(looks[:4]):
        tell(strategy, ask, float(number), number)
    tell(strategy, asked(strategy)[0], 1.0)
    before = asked(strategy)
    for ask in looks[4:]:
        tell(strategy, ask, 99.0)
    assert asked(strategy) == before == [Ask(looks[2].architecture)]


# --- moves -----------------------------------------------------------------------------------------------


def test_the_best_of_each_round_meets_the_objective() -> None:
    strategy: ZeroCostMoves = start("zero_cost_moves:pool=3,random=0", 1, Digits())
    first = asked(strategy, 4)  # a batch of four: three of this round, one of the next
    assert [a.fidelity for a in first] == [0, 0, 0, 0]
    for number, (ask, value) in enumerate(zip(first, each(1.0, 2.0, "rejected", 9.0), strict=True)):
        tell(strategy, ask, value, number)
    assert asked(strategy, 2)[0] == Ask(first[1].architecture)
    assert asked(strategy, 2)[1].fidelity == 0
    tell(strategy, asked(strategy)[0], 5.0)
    second = asked(strategy, 2)
    for ask in second:
        tell(strategy, ask, "failed")
    assert asked(strategy) == [Ask(first[3].architecture)]


def test_a_round_that_is_turned_away_has_no_winner() -> None:
    strategy = start("zero_cost_moves:pool=2,random=0", 1, Digits())
    for ask in asked(strategy, 2):
        tell(strategy, ask, "rejected")
    assert asked(strategy)[0].fidelity == 0


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("pool", [1, 4])
def test_a_quarter_of_the_real_trials_had_no_cheap_look(batch: int, pool: int) -> None:
    done = play(f"zero_cost_moves:pool={pool},inner=random_search", 1600, batch=batch)
    looked = {t.architecture.id for t in done if t.fidelity == 0}
    real = [t.architecture.id for t in done if t.fidelity is None]
    share = sum(who not in looked for who in real) / len(real)
    assert 0.17 < share < 0.33
    none = play("zero_cost_moves:pool=3,random=1", 50)
    assert {t.fidelity for t in none} == {None}
