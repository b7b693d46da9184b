"""What a strategy asks for, how it is typed, and what a constraint and a study say of it."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

import pytest

from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.errors import UnknownName, UsageError
from untrained.core.metric import split_options
from untrained.core.named import construct
from untrained.core.space import Space, choice
from untrained.core.strategy import Ask, make
from untrained.core.study import Question, Study, Trial
from untrained.core.where import LEAST, Where


class Small(Space):
    """Two lists that share a length, a free choice, and a rule."""

    name = "small"
    layers: int = choice(1, 2)
    kind: str = choice("a", "b", "c")
    heads: list[int] = choice(1, 2, per="layers")
    ratio: list[int] = choice(1, 3, per="layers")

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


class Ruled(Small):
    """The same, and no two layers alike."""

    def valid(self, arch: Architecture) -> bool:
        return bool(len(set(arch.heads)) == arch.layers)


class Endless(Small):
    def size(self) -> int | None:
        return None


# --- options, as typed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        (" a = 1 , b=x ", {"a": "1", "b": "x"}),
        ("inner=tpe(start=10,good=5),pool=3", {"inner": "tpe(start=10,good=5)", "pool": "3"}),
        ("inner=a(inner=b(x=1,y=2),z=3)", {"inner": "a(inner=b(x=1,y=2),z=3)"}),
        ("inner=tpe()", {"inner": "tpe()"}),
        ("a=1,,", {"a": "1"}),
        ("a=x=y", {"a": "x=y"}),
    ],
)
def test_commas_in_parentheses_belong_to_the_value(text: str, options: dict[str, str]) -> None:
    assert split_options(text) == options


@pytest.mark.parametrize("text", ["inner=tpe(start=10", "inner=tpe(a=(1)", "a=1)"])
def test_half_a_parenthesis_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="without its other half"):
        split_options(text)


def test_what_is_no_option_is_refused() -> None:
    with pytest.raises(UsageError, match="'tpe' is not an option; write it as name=value"):
        split_options("pool=3,tpe")


@pytest.mark.parametrize(
    "text", ["regularized_evolution:population=20", "regularized_evolution(population=20)"]
)
def test_options_stand_behind_a_colon_or_in_parentheses(text: str) -> None:
    found = construct("strategy", text, Small())
    assert (found.name, found.population, found.tournament) == ("regularized_evolution", 20, 10)


def test_parentheses_may_be_empty_and_settings_win() -> None:
    assert construct("strategy", " regularized_evolution() ", Small()).population == 50
    assert (
        construct("strategy", "regularized_evolution(population=20)", Small(), population=30).population == 30
    )


def test_a_nested_name_or_option_that_is_wrong_is_named() -> None:
    with pytest.raises(UnknownName, match="random_search"):
        construct("strategy", "random_serch(x=1)", Small())
    with pytest.raises(UsageError, match="has no option 'size'; it has: population=50"):
        construct("strategy", "regularized_evolution(size=1)", Small())


def test_a_strategy_that_looks_cheaply_first_needs_something_cheaper() -> None:
    class Looks(registry.get("strategy", "random_search")):  # type: ignore[misc]
        needs_fidelities = 2

    registry.add("strategy", Looks, name="looks_twice")
    try:
        assert make("looks_twice", Small(), fidelities=3).fidelities == 3
        with pytest.raises(UsageError, match=r"needs 2 cheaper metrics to do so\.\n.*--fidelity"):
            make("looks_twice", Small(), fidelities=1)
    finally:
        registry.forget("strategy", "looks_twice")


# --- asks --------------------------------------------------------------------------------------------


def arch(*heads: int, kind: str = "a") -> Architecture:
    return Architecture.of("small", layers=len(heads), kind=kind, heads=heads, ratio=[1] * len(heads))


def test_a_bare_architecture_asks_for_the_objectives_once() -> None:
    ask = Ask.of(arch(1))
    assert (ask.architecture, ask.fidelity, ask.draw, ask.note) == (arch(1), None, 0, None)
    closer = Ask(arch(1), 2, 3, "why")
    assert Ask.of(closer) is closer


def test_a_note_is_what_will_come_back_from_the_log() -> None:
    note = Ask(arch(1), note=["up", [1, [2.5, None]], {"bracket": [1]}]).note
    assert note == ("up", (1, (2.5, None)), {"bracket": [1]})
    assert Ask(arch(1), note=[1, 2]) == Ask(arch(1), note=(1, 2)) != Ask(arch(1), note=(2, 1))


# --- how far from true -------------------------------------------------------------------------------

VALUES = {"params": 8.0, "layers": 3.0, "loss": -2.0, "zero": 0.0}


@pytest.mark.parametrize(
    ("text", "far"),
    [
        ("params <= 8", 0.0),
        ("params <= 6", 0.25),  # |8 - 6| / 8
        ("params >= 10", 0.2),  # |8 - 10| / 10
        ("6 >= params", 0.25),
        ("params == 10", 0.2),
        ("params != 8", 1.0),
        ("params < 8", LEAST),
        ("loss > 2", 2.0),  # |-2 - 2| / 2, the most there is
        ("zero > 0", LEAST),
        ("zero > 5", 1.0),
        ("10 <= params + 0 <= 4", 0.7),  # 0.2 + 0.5
        ("params / 4 >= layers", 1 / 3),  # 2 against 3
        ("params <= 6 or layers <= 1", 0.25),  # the least of 0.25 and 2/3
        ("(params <= 6 and layers <= 1) or zero > 5", 0.25 + 2 / 3),  # the least of the sum and 1
        ("not params == 8", 1.0),
        ("not (params > 6 and layers > 1)", 1.0),
        ("absent < 1", 1.0),
        ("params / zero < 1", 1.0),
    ],
)
def test_violation_on_paper(text: str, far: float) -> None:
    (clause,) = Where.parse(text).clauses
    assert clause.violation(VALUES) == pytest.approx(far, rel=1e-12, abs=1e-15)
    assert (clause.violation(VALUES) == 0) is clause.holds(VALUES)


def test_each_clause_has_its_own_violation() -> None:
    where = Where.parse("params <= 6 and layers >= 4 and loss < 0")
    assert [c.violation(VALUES) for c in where.clauses] == pytest.approx([0.25, 0.25, 0.0])


# --- bounds that contradict each other ------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "params <= 5 and params >= 10",
        "params >= 10 and params <= 5",
        "5 >= params and 10 <= params",
        "5 >= params and params >= 10",
        "params < 5 and params >= 5",
        "params <= 5 and 5 < params",
        "params > 5 and params < 5",
        "params == 5 and params == 6",
        "params == 5 and params > 5",
        "4 == params and params >= 5",
        "10 <= params <= 5",
        "params <= -5 and params >= -4",
        "params <= 100 and layers < 3 and (params >= 200 and layers > 1)",
        "zen.part < 1 and zen.part > 2",
    ],
)
def test_bounds_without_a_number_between_them_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"contradicts itself: no (params|zen\.part) satisfies"):
        Where.parse(text)


def test_the_contradiction_is_shown_as_it_was_typed() -> None:
    with pytest.raises(UsageError, match=r"params>=1e7 and 5 > params\.\n  loosen one of the two"):
        Where.parse("params>=1e7 and params >= 3 and 5 > params")


@pytest.mark.parametrize(
    "text",
    [
        "params <= 5 and params >= 5",
        "params == 5 and params <= 5",
        "params <= 5 or params >= 10",
        "not (params <= 5 and params >= 10)",
        "params <= 5 and layers >= 10",
        "zen.a <= 5 and zen.b >= 10",
        "params != 5 and params <= 5",
        "params < 5 and params > 4",  # nothing says that it is a whole number
        "params <= 5 and params + 0 >= 10",  # arithmetic is not looked into
        "-5 <= params <= -4",
    ],
)
def test_bounds_with_a_number_between_them_are_fine(text: str) -> None:
    assert Where.parse(text).text == text


# --- everything in a space ---------------------------------------------------------------------------


def brute(space: Space) -> set[Architecture]:
    """By a formula of its own: all lists of both lengths, whatever the order."""
    pairs = list(product((1, 2), (1, 3)))
    return {
        a
        for n in (1, 2)
        for kind in "abc"
        for layers in product(pairs, repeat=n)
        for a in [
            Architecture.of(
                "small", layers=n, kind=kind, heads=[h for h, _ in layers], ratio=[r for _, r in layers]
            )
        ]
        if space.valid(a)
    }


@pytest.mark.parametrize(("space", "number"), [(Small(), 60), (Ruled(), 36)])
def test_everything_is_everything_once(space: Space, number: int) -> None:
    listed = list(space.everything())
    assert len(listed) == len(set(listed)) == number  # 3 * (4 + 16), and 3 * (4 + 2 * 4)
    assert set(listed) == brute(space)
    assert listed == list(space.everything())
    for each in listed:
        space.validate(each)


def test_the_number_is_the_size_where_nothing_is_invalid() -> None:
    assert Small().size() == len(list(Small().everything()))
    assert Ruled().size() == Small().size()  # before `valid`
    assert set(Small().everything()) >= {Small().sample(Random(n)) for n in range(200)}


def test_what_has_no_end_is_not_listed() -> None:
    for space in (Endless(), registry.get("space", "rnn_cell")()):
        with pytest.raises(UsageError, match="has no end"):
            next(space.everything())


# --- the best of a study -----------------------------------------------------------------------------

ASKED = Question("small", (("a", "higher"), ("b", "higher")))


def trial(number: int, who: Architecture, *scores: float, **more: Any) -> Trial:
    status = "ok" if scores else "failed"
    return Trial(number, who, status, score=scores[0] if scores else None, scores=scores, **more)


def test_several_draws_count_as_their_mean() -> None:
    study = Study(
        ASKED,
        [
            trial(0, arch(1), 5.0, 1.0),
            trial(1, arch(2), 9.0, 0.0),
            trial(2, arch(2), 0.0, 4.0, draw=1),
            trial(3, arch(2), 3.0, 2.0, draw=2),
            trial(4, arch(2), draw=3),  # failed
            trial(5, arch(2), 9.0, 0.0, same_as=1),  # told again: no further draw
        ],
    )
    assert [(t.number, t.score, t.scores) for t in study.distinct()] == [
        (0, 5.0, (5.0, 1.0)),
        (1, 4.0, (4.0, 2.0)),
    ]
    assert study.best == arch(1)
    assert [t.number for t in study.front()] == [0, 1]


def test_a_cheaper_metric_has_no_say_in_what_is_best() -> None:
    study = Study(
        ASKED,
        [
            trial(0, arch(1), 99.0, fidelity=0),
            trial(1, arch(2), 50.0, fidelity=1),
            trial(2, arch(1), 1.0, 1.0),
        ],
    )
    assert [t.number for t in study.distinct()] == [2]
    assert (study.best, [t.number for t in study.front()]) == (arch(1), [2])
    assert [(row["fidelity"], row["draw"]) for row in study.records()] == [(0, 0), (1, 0), (None, 0)]
    assert Study(ASKED, study.trials[:2]).best is None


def test_equal_means_stand_in_the_order_of_their_first_trials() -> None:
    trials = [trial(0, arch(1), 2.0, 0.0), trial(1, arch(2), 1.0, 0.0), trial(2, arch(2), 3.0, 0.0, draw=1)]
    assert [t.architecture for t in Study(ASKED, trials).distinct()] == [arch(1), arch(2)]
