"""grid, local_search, nsga2 and mcts on spaces whose best answer is known, and their parts by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.space import Space, choice
from untrained.core.strategy import Ask, Strategy, make
from untrained.core.study import Trial, dominates
from untrained.strategies._branches import Node, curiosity, pick
from untrained.strategies._decision_tree import DecisionTree, Slot, ordered
from untrained.strategies._edit_tree import wide
from untrained.strategies._pareto import crowding, fronts

Score = Callable[[Architecture], tuple[float, ...]]


class Layers(Space):
    """Best with four layers of width 64, all of kind b with two heads; wide layers only have many heads."""

    name = "layers"
    width = choice(16, 32, 64, 128)
    layers = choice(2, 4, 6)
    kind = choice("a", "b", "c", per="layers")
    heads = choice(1, 2, 4, per="layers")

    def valid(self, arch: Architecture) -> bool:
        return all(arch.width >= 16 * h for h in arch.heads)

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


class Small(Space):
    """48 architectures."""

    name = "small"
    a = choice(0, 1, 2, 3)
    b = choice(0, 1, 2, 3)
    c = choice("x", "y", "z")

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


class Word(Space):
    """Words of any length, changed by one letter: no declared decisions, and no end."""

    name = "word"

    def sample(self, rng: Random) -> Architecture:
        return self._of("".join(rng.choice("abcd") for _ in range(6)))

    def mutate(self, arch: Architecture, rng: Random) -> Architecture:
        return rng.choice(list(self.neighbours(arch)))

    def crossover(self, a: Architecture, b: Architecture, rng: Random) -> Architecture:
        cut = rng.randrange(7)
        return self._of(a.word[:cut] + b.word[cut:])

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        word = arch.word
        for i in range(len(word) + 1):
            for letter in "abcd":
                if word[i : i + 1] != letter:
                    yield self._of(word[:i] + letter + word[i + 1 :])

    def size(self) -> int | None:
        return None

    def _of(self, word: str) -> Architecture:
        return Architecture.of(self.name, word=word)

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


def layers_score(arch: Architecture) -> tuple[float, ...]:
    right = sum(k == "b" for k in arch.kind) + sum(h == 2 for h in arch.heads)
    return (right / (2 * arch.layers) - abs(arch.layers - 4) / 4 - abs(math.log2(arch.width) - 6) / 4,)


def word_score(arch: Architecture) -> tuple[float, ...]:
    return (arch.word.count("a") - 2.0 * arch.word.count("d") - abs(len(arch.word) - 12),)


def two_goals(arch: Architecture) -> tuple[float, ...]:
    return layers_score(arch)[0], -arch.width * arch.layers / 768


def ok(number: int, ask: Ask, scores: tuple[float, ...]) -> Trial:
    return Trial(number, ask.architecture, "ok", score=scores[0], scores=scores, note=ask.note)


def search(
    strategy: Strategy,
    score: Score,
    trials: int,
    *,
    seed: int = 0,
    batch: int = 8,
    restart: int | None = None,
) -> list[Trial]:
    """Asks and tells; every seventh fails, narrow networks are rejected; with `restart`, told anew there."""
    done: list[Trial] = []
    first: dict[str, Trial] = {}
    while len(done) < trials:
        if restart is not None and len(done) >= restart:
            strategy, restart = make(OPTIONS.get(strategy.name, strategy.name), strategy.space), None
            for trial in done:
                strategy.tell(trial)
        luck = f"{seed}/{len(done)}"
        asks = [Ask.of(a) for a in strategy.ask(Random(luck), batch)]
        assert [Ask.of(a) for a in strategy.ask(Random(luck), batch)] == asks
        assert len(asks) == batch
        told = []
        for number, ask in enumerate(asks, len(done)):
            earlier = first.get(ask.architecture.id)
            if earlier is not None:
                trial = replace(earlier, number=number, same_as=earlier.number, note=ask.note)
            elif int(ask.architecture.id[:4], 16) % 7 == 0:
                trial = Trial(number, ask.architecture, "failed", reason="no number", note=ask.note)
            elif dict(ask.architecture.choices).get("width") == 16:
                trial = Trial(number, ask.architecture, "rejected", violation=0.5, note=ask.note)
            else:
                trial = ok(number, ask, score(ask.architecture))
            first.setdefault(ask.architecture.id, trial)
            told.append(trial)
        for trial in told:
            strategy.tell(trial)
        done += told
    return done


def best(trials: list[Trial]) -> float:
    return max(t.score for t in trials if t.score is not None)


OPTIONS = {"nsga2": "nsga2:population=20"}
GUIDED = ["local_search", "local_search:move=best", "nsga2:population=20", "mcts", "mcts:bisect=false"]
PLACES: dict[str, tuple[Space, Score]] = {"layers": (Layers(), layers_score), "word": (Word(), word_score)}


# --- what all of them keep -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["local_search", "nsga2", "mcts"])
def test_equal_luck_gives_equal_trials_and_a_retold_strategy_goes_on_alike(name: str, place: str) -> None:
    space, score = PLACES[place]

    def fresh() -> Strategy:
        return make(OPTIONS.get(name, name), space)

    whole = search(fresh(), score, 240)
    assert search(fresh(), score, 240) == whole
    assert search(fresh(), score, 240, seed=1) != whole
    for restart in (8, 64, 168):
        assert search(fresh(), score, 240, restart=restart) == whole
    assert search(fresh(), score, 120, batch=1, restart=50) == search(fresh(), score, 120, batch=1)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", GUIDED)
def test_it_finds_far_better_ones_than_random_draws(name: str, place: str) -> None:
    space, score = PLACES[place]
    guided = fmean(best(search(make(name, space), score, 240, seed=s)) for s in range(5))
    drawn = [best(search(make("random_search", space), score, 240, seed=s)) for s in range(5)]
    assert guided > max(drawn)


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", GUIDED)
def test_nothing_is_asked_for_twice(name: str, place: str, batch: int) -> None:
    space, score = PLACES[place]
    trials = search(make(name, space), score, 280, batch=batch)
    assert len({t.architecture.id for t in trials}) == len(trials)


@pytest.mark.parametrize("name", ["grid", *GUIDED])
def test_a_space_that_is_used_up_ends_no_search(name: str) -> None:
    trials = search(make(name, Small()), lambda a: (float(a.a + a.b),), 96)
    assert len({t.architecture.id for t in trials}) == 48


@pytest.mark.parametrize("status", ["rejected", "failed"])
@pytest.mark.parametrize("name", ["grid", *GUIDED])
def test_a_search_without_any_score_goes_on(name: str, status: str) -> None:
    strategy = make(name, Layers())
    seen = set()
    for number in range(100):
        (ask,) = map(Ask.of, strategy.ask(Random(number)))
        seen.add(ask.architecture.id)
        strategy.tell(Trial(number, ask.architecture, status, note=ask.note, violation=float(number % 3)))
    assert len(seen) == 100


@pytest.mark.parametrize("name", ["grid", "local_search", "nsga2", "mcts"])
def test_cards_have_a_sentence_a_source_and_what_differs(name: str) -> None:
    doc = registry.get("strategy", name).__doc__
    assert registry.summary("strategy", name).endswith(".")
    assert "Source:" in doc
    assert "Differs:" in doc


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("grid:ahead=0", "ahead"),
        ("local_search:start=0", "start"),
        ("local_search:move=last", "move=first or move=best"),
        ("nsga2:population=1", "population"),
        ("nsga2:crossover=1.5", "crossover"),
        ("nsga2:mutation=-1", "mutation"),
        ("nsga2:mutation=nan", "mutation"),
        ("mcts:c=-1", "c=-1"),
        ("mcts:c=nan", "c=nan"),
        ("mcts:c=inf", "c=inf"),
        ("mcts:bisect=perhaps", "bisect"),
    ],
)
def test_bad_options_are_named(text: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        make(text, Small())


# --- grid ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_the_grid_keeps_the_order_and_starts_over(batch: int) -> None:
    order = list(Small().everything())
    trials = search(make("grid", Small()), lambda a: (0.0,), 200, batch=batch)
    assert [t.architecture for t in trials[:144]] == order * 3
    assert all((t.same_as is None) == (t.number < 48) for t in trials)


def test_a_resumed_grid_goes_on_where_it_was_even_with_gaps() -> None:
    order = list(Small().everything())
    strategy = make("grid", Small())
    for number, place in enumerate([0, 1, 3, 4, 10]):
        strategy.tell(Trial(number, order[place], "ok", score=0.0))
    assert strategy.ask(Random(0), 4) == [order[2], *order[5:8]]


def test_a_grid_that_looks_ahead_shows_everything_to_workers_that_overtake_each_other() -> None:
    strategy = make("grid:ahead=16", Small())
    flying: list[Architecture] = []
    seen: list[str] = []
    for number in range(80):
        flying += [Ask.of(a).architecture for a in strategy.ask(Random(number), 1)]
        if len(flying) > 3:
            done = flying.pop(Random(number).randrange(4))
            seen.append(done.id)
            strategy.tell(Trial(len(seen), done, "ok", score=0.0))
    assert len(set(seen)) == 48
    assert len(set(seen[:40])) > 30


def test_a_space_without_an_end_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="the space rnn_cell has no end"):
        make("grid", registry.get("space", "rnn_cell")())


def test_a_huge_space_is_walked_lazily() -> None:
    space = registry.get("space", "gpt_decoder")()
    assert len({Ask.of(a).architecture.id for a in make("grid", space).ask(Random(0), 50)}) == 50


# --- local search ----------------------------------------------------------------------------------------


def word(text: str) -> Architecture:
    return Architecture.of("word", word=text)


def told(strategy: Strategy, number: int, ask: Ask, score: float | None) -> None:
    strategy.tell(
        Trial(number, ask.architecture, "failed" if score is None else "ok", score=score, note=ask.note)
    )


def test_a_climb_begins_at_the_best_draw_and_moves_at_the_first_better_neighbour() -> None:
    strategy = make("local_search:start=3", Word())
    for number, (text, score) in enumerate([("aa", 1.0), ("bb", None), ("cc", 3.0), ("dd", 2.0)]):
        assert strategy.centre is None  # type: ignore[attr-defined]
        told(strategy, number, Ask(word(text)), score)
    assert strategy.centre == (3.0, word("cc"))  # type: ignore[attr-defined]
    near = {a.id for a in Word().neighbours(word("cc"))}
    asked = {Ask.of(a).architecture.id for a in strategy.ask(Random(0), 10)}
    assert asked <= near
    told(strategy, 4, Ask(word("ca")), 3.0)
    assert strategy.centre == (3.0, word("cc"))  # type: ignore[attr-defined]
    told(strategy, 5, Ask(word("cb")), 3.5)
    assert strategy.centre == (3.5, word("cb"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("batch", [1, 4])
def test_all_neighbours_are_asked_for_before_the_climb_ends(batch: int) -> None:
    strategy = make("local_search:start=1", Word())
    told(strategy, 0, Ask(word("cc")), 9.0)
    near = {a.id for a in Word().neighbours(word("cc"))}
    asked: list[Ask] = []
    while len(asked) < len(near) + 1:
        some = [Ask.of(a) for a in strategy.ask(Random(len(asked)), batch)]
        for ask in some:
            told(strategy, len(asked) + 1, ask, 1.0)
            asked.append(ask)
    assert {a.architecture.id for a in asked[: len(near)]} == near
    assert strategy.centre == (1.0, asked[len(near)].architecture)  # type: ignore[attr-defined]


def test_with_move_best_the_climb_waits_for_all_neighbours() -> None:
    strategy = make("local_search:start=1,move=best", Word())
    told(strategy, 0, Ask(word("c")), 0.0)
    near = list(Word().neighbours(word("c")))
    for number, arch in enumerate(near, 1):
        told(strategy, number, Ask(arch), float(number % 5))
        assert strategy.centre == (0.0, word("c"))  # type: ignore[attr-defined]
    (ask,) = map(Ask.of, strategy.ask(Random(0)))
    assert ask.architecture in set(Word().neighbours(near[3]))  # number 4 is the first with a score of 4
    told(strategy, 99, ask, 1.0)
    assert strategy.centre == (4.0, near[3])  # type: ignore[attr-defined]


# --- NSGA-II ---------------------------------------------------------------------------------------------


def test_fronts_by_hand() -> None:
    #        a       b       c       d       e       f, equal to a
    rows = [[1, 5], [3, 3], [2, 2], [5, 1], [1, 1], [1, 5]]
    assert fronts(np.array(rows, float)).tolist() == [0, 0, 1, 0, 2, 0]
    assert fronts(np.array([[2.0], [7.0], [2.0], [5.0]])).tolist() == [2, 0, 2, 1]


def test_fronts_by_peeling_one_pair_at_a_time() -> None:
    rng = Random(0)
    for goals in (1, 2, 3):
        rows = [tuple(float(rng.randrange(6)) for _ in range(goals)) for _ in range(60)]
        left, expected, level = set(range(60)), [0] * 60, 0
        while left:
            front = {i for i in left if not any(dominates(rows[j], rows[i]) for j in left)}
            for i in front:
                expected[i] = level
            left, level = left - front, level + 1
        assert fronts(np.array(rows)).tolist() == expected


def test_crowding_by_hand() -> None:
    # One front: (0, 10) (2, 6) (6, 4) (10, 0). For (2, 6): 6 / 10 + (10 - 4) / 10; (6, 4): 8 / 10 + 6 / 10.
    rows = np.array([[6, 4], [0, 10], [10, 0], [2, 6]], float)
    found = crowding(rows, np.zeros(4, int)).tolist()
    assert found == pytest.approx([1.4, math.inf, math.inf, 1.2])
    # A second front of its own between them changes nothing; one that is all equal has no inner distance.
    more = np.concatenate([rows, [[1.0, 1.0]] * 3])
    both = crowding(more, np.array([0, 0, 0, 0, 1, 1, 1])).tolist()
    assert both[:4] == pytest.approx(found)
    assert sorted(both[4:])[0] == 0.0
    assert np.isfinite(crowding(np.array([[-1e308], [0.0], [1e308]]), np.zeros(3, int))[1])


def test_within_the_constraint_before_outside_and_little_outside_before_far() -> None:
    strategy = make("nsga2:population=6", Word())
    trials = [
        Trial(0, word("a"), "rejected", violation=2.0),
        Trial(1, word("b"), "ok", score=1.0, scores=(1.0, 1.0)),
        Trial(2, word("c"), "failed", reason="no number"),
        Trial(3, word("d"), "rejected", violation=0.5),
        Trial(4, word("e"), "ok", score=2.0, scores=(2.0, 2.0)),
        Trial(5, word("f"), "rejected", violation=0.5),
    ]
    for trial in trials:
        strategy.tell(trial)
    found = {t.architecture.word: p for t, p in zip(strategy.parents, strategy.places, strict=True)}  # type: ignore[attr-defined]
    assert list(found) == ["e", "b", "d", "f", "a"]
    assert list(found.values()) == [0, 1, 2, 2, 3]


def test_a_generation_ends_at_its_border_and_keeps_the_best_of_both() -> None:
    strategy = make("nsga2:population=4", Word())
    scores = [4.0, 1.0, 3.0, 2.0, 0.0, 5.0, 2.5, 0.5]
    for number, value in enumerate(scores):
        kept = [t.score for t in strategy.parents]  # type: ignore[attr-defined]
        assert kept == ([] if number < 4 else [4.0, 3.0, 2.0, 1.0])
        strategy.tell(Trial(number, word("a" * (number + 1)), "ok", score=value, scores=(value,)))
    assert [t.score for t in strategy.parents] == [5.0, 4.0, 3.0, 2.5]  # type: ignore[attr-defined]


def test_a_cheaper_look_with_fewer_scores_has_no_place_in_the_front() -> None:
    strategy = make("nsga2:population=3", Word())
    for number, scores in enumerate([(9.0,), (1.0, 2.0), (2.0, 1.0)]):
        strategy.tell(Trial(number, word("a" * (number + 1)), "ok", score=scores[0], scores=scores))
    assert {t.number for t in strategy.parents} == {1, 2}  # type: ignore[attr-defined]


def test_two_objectives_give_a_better_front_than_random_draws() -> None:
    def area(trials: list[Trial]) -> float:
        """What the front dominates above (-2, -1), by adding steps from the right."""
        total, height = 0.0, -1.0
        for first, second in sorted((t.scores for t in trials if t.scores), reverse=True):
            if second > height:
                total += (first + 2) * (second - height)
                height = second
        return total

    evolved = fmean(
        area(search(make("nsga2:population=20", Layers()), two_goals, 400, seed=s)) for s in range(4)
    )
    drawn = [area(search(make("random_search", Layers()), two_goals, 400, seed=s)) for s in range(4)]
    assert evolved > max(drawn)


def test_a_constraint_that_few_meet_is_approached() -> None:
    """Only words with six of a in a row are allowed; no random word of six letters is likely to be one."""
    strategy = make("nsga2:population=20", Word())
    met = 0
    for start in range(0, 600, 8):
        for number, ask in enumerate(map(Ask.of, strategy.ask(Random(start), 8)), start):
            missing = max(0, 6 - ask.architecture.word.count("a"))
            met += missing == 0
            status = "rejected" if missing else "ok"
            scores = () if missing else (1.0,)
            score = None if missing else 1.0
            strategy.tell(
                Trial(number, ask.architecture, status, score=score, scores=scores, violation=float(missing))
            )
    assert met > 100


# --- tree search -----------------------------------------------------------------------------------------


def test_ucb1_by_hand() -> None:
    # c sqrt(2 ln 8 / 2) for c = 1: sqrt(2.0794) = 1.4420
    assert curiosity(8, 1.0) / math.sqrt(2) == pytest.approx(1.4420, abs=1e-4)
    parent, rare, good = Node(), Node(), Node()
    parent.credit(5.8, 8)
    rare.credit(0.2 * 2, 2)
    good.credit(0.9 * 6, 6)
    # c = 1: 0.2 + 1.4420 = 1.6420 against 0.9 + sqrt(2 ln 8 / 6) = 0.9 + 0.8326
    assert pick(parent, {0: rare, 1: good}, 1.0, Random(0), {}) == (1, good)
    # c = 2: 0.2 + 2.8841 against 0.9 + 1.6651
    busy: dict[int, int] = {}
    assert pick(parent, {0: rare, 1: good}, 2.0, Random(0), busy) == (0, rare)
    assert busy == {id(rare): 1}
    # A visit under way, worth nothing: 0.4 / 3 + 2 sqrt(2 ln 8 / 3) = 0.1333 + 2.3548 against 2.5651
    assert pick(parent, {0: rare, 1: good}, 2.0, Random(0), busy) == (1, good)


def test_ties_are_broken_by_luck() -> None:
    parent, one, other = Node(), Node(), Node()
    for node, visits in ((parent, 4), (one, 2), (other, 2)):
        node.credit(visits / 2, visits)
    assert {pick(parent, {0: one, 1: other}, 1.0, Random(s), {})[0] for s in range(20)} == {0, 1}


def test_numbers_in_order_are_halved_and_others_are_not() -> None:
    assert [ordered(o) for o in [(1, 2, 3), (4, 2, 1), (1, 3, 2), ("a", "b", "c"), (True, False, 2)]] == [
        True,
        True,
        False,
        False,
        False,
    ]
    halved = Slot("width", (16, 32, 64, 128, 256), bisect=True)
    assert halved.routes == [
        [(0, 2), (0, 2), (0, 2)],
        [(0, 2), (0, 2), (1, 2)],
        [(0, 2), (1, 2)],
        [(1, 2), (0, 2)],
        [(1, 2), (1, 2)],
    ]
    assert Slot("width", (16, 32, 64), bisect=False).routes == [[(0, 3)], [(1, 3)], [(2, 3)]]
    assert Slot("bias", (True,), bisect=True).routes == [[]]


def small(a: int, b: int, c: str) -> Architecture:
    return Architecture.of("small", a=a, b=b, c=c)


def test_the_tree_grows_where_architectures_part_and_knows_what_is_used_up() -> None:
    tree = DecisionTree(Small(), c=0.1, bisect=False)
    for number, arch in enumerate([small(0, 0, "x"), small(1, 0, "x"), small(0, 0, "y")]):
        tree.grow(Trial(number, arch, "ok"))
        tree.credit(arch, 1.0 if arch.a else 0.25)
    root = tree.root
    assert (root.visits, root.total, root.used) == (3, 1.5, 0)
    first = root.children[0]
    assert (first.visits, first.total) == (2, 0.5)
    assert root.children[1].own == small(1, 0, "x")
    ends = first.children[0].children
    assert {way: (leaf.visits, leaf.total, leaf.used) for way, leaf in ends.items()} == {
        0: (1, 0.25, -1),
        1: (1, 0.25, -1),
    }
    tree.grow(Trial(3, small(0, 0, "z"), "ok"))
    assert first.children[0].used == -1
    assert first.used == 1
    everything = list(Small().everything())
    for arch in everything:
        tree.grow(Trial(4, arch, "ok"))
        tree.credit(arch, 0.0)
    assert root.used == -1


def test_worth_is_the_share_that_is_no_better() -> None:
    strategy = make("mcts", Word())
    for number, score in enumerate([10.0, 1e30, -5.0, 10.0]):
        strategy.tell(Trial(number, word("a" * (number + 1)), "ok", score=score))
    worth = [strategy._worth(s) for s in (-9.0, -5.0, 10.0, 1e30, 1e31, None)]  # type: ignore[attr-defined]
    assert worth == [0.0, 0.125, 0.5, 0.875, 1.0, 0.0]
    root = strategy.tree.root  # type: ignore[attr-defined]
    assert root.visits == 4
    assert root.total == pytest.approx(0.5 + 0.875 + 0.125 + 0.5)


def test_options_that_never_go_together_do_not_stop_the_search() -> None:
    trials = search(make("mcts", Layers()), layers_score, 400)
    assert len({t.architecture.id for t in trials}) == 400
    assert {t.architecture.layers for t in trials} == {2, 4, 6}


def test_places_widen_with_the_cube_root_of_their_visits() -> None:
    assert [wide(v) for v in (0, 1, 2, 7, 9, 26, 28, 999)] == [1, 1, 2, 2, 3, 3, 4, 10]


def test_the_note_says_what_a_mutation_was_made_of() -> None:
    strategy = make("mcts", Word())
    trials = search(strategy, word_score, 120, batch=1)
    known = {t.architecture.id: t.architecture for t in trials}
    made = [t for t in trials if t.note is not None]
    assert len(made) > 60
    assert all(t.architecture in set(Word().neighbours(known[t.note])) for t in made)
    assert any(t.note is None for t in trials[20:])  # the root widens too
