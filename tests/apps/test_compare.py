"""Strategies on tables: regret worked by hand, equal luck, and wrong questions."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from untrained.apps import api
from untrained.apps.comparing import compare
from untrained.core.benchmark import Benchmark, Row, Target
from untrained.core.errors import BadData, InvalidArchitecture, UnknownName, UsageError
from untrained.core.space import Space, choice
from untrained.core.tabular import NEAR, Tabular
from untrained.spaces.rnn_cell import RnnCell

DATA = Path(__file__).parents[2].parent / "shared" / "data"


class Grid(Space):
    """Sixty-four architectures, all of them trained."""

    name = "grid"
    a: int = choice(0, 1, 2, 3)
    b: int = choice(0, 1, 2, 3)
    c: int = choice(0, 1, 2, 3)

    def build(self, arch: Any, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


class Table(Benchmark):
    """Perplexities; not registered, so that no other test sees it."""

    name = "grid_table"
    space = "grid"
    targets = (Target("ppl", "ppl", "lower", log=True), Target("speed", "tokens/s", "higher"))
    files = ()

    def read(self, folder: Path, space: Space) -> Any:
        raise NotImplementedError


def ppl(arch: Any) -> float:
    return math.exp(4 - 0.1 * (arch.a + 2 * arch.b + 4 * arch.c))


def rows(space: Space, keep: int | None = None) -> list[Row]:
    archs = list(space.everything())[:keep]
    return [Row(str(i), {"ppl": ppl(a)}, a, seconds=60.0 + i) for i, a in enumerate(archs)]


def played(*strategies: str, budget: int = 10, runs: int = 5, **more: Any) -> Any:
    space = Grid()
    return compare(Table(), rows(space), space, strategies, budget=budget, runs=runs, **more)


def test_looking_at_everything_leaves_no_regret() -> None:
    found = played("grid", budget=64, runs=2)
    (record,) = [r for r in found.records if r["strategy"] == "grid"]
    assert record["regret"] == record["regret_low"] == record["regret_high"] == 0.0
    best, typical = math.exp(4 - 2.1), math.exp(4 - 1.05)  # the mean of the logarithms, and back
    assert record["found"] == pytest.approx(best)
    assert record["relative_improvement"] == pytest.approx(100 * (typical - best) / typical)
    assert record["simulated_hours"] == pytest.approx(sum(60.0 + i for i in range(64)) / 3600)
    # The first 6 of 64 in order have a = 0 and b up to 1; c = 3 among them is worth 1.2.
    assert record["regret_at"]["6"] == pytest.approx(2.1 - 1.2)
    assert found.curves["grid"].shape == (2, 64)
    assert np.all(np.diff(found.curves["grid"]) <= 0)  # perplexity of the best so far
    assert "own operations" in found.notes[0]


def test_random_search_is_there_and_equal_luck_gives_equal_records() -> None:
    first, again = (
        played("regularized_evolution:population=4,tournament=2"),
        played("regularized_evolution:population=4,tournament=2"),
    )
    assert first.records == again.records
    names = [r["strategy"] for r in first.records]
    assert sorted(names) == ["random_search", "regularized_evolution:population=4,tournament=2"]
    random = next(r for r in first.records if r["strategy"] == "random_search")
    assert random["beats_random"] is None
    assert random["minus_random"] == 0.0
    assert [r["regret"] for r in first.records] == sorted(r["regret"] for r in first.records)


def test_a_perfect_cheap_look_finds_the_best_at_once() -> None:
    space = Grid()
    cheap = {"oracle": {a: ppl(a) for a in space.everything()}}
    found = played(
        "successive_halving", "random_search", budget=20, cheap=cheap, directions={"oracle": "lower"}
    )
    by_name = {r["strategy"]: r for r in found.records}
    assert by_name["successive_halving"]["minus_random_low"] > 0
    turned = played("successive_halving", budget=20, cheap=cheap, directions={"oracle": "higher"})
    other = next(r for r in turned.records if r["strategy"] == "successive_halving")
    assert other["regret"] > by_name["successive_halving"]["regret"]


def test_a_part_of_a_space_is_searched_by_nearest_encodings() -> None:
    space = Grid()
    found = compare(Table(), rows(space, 30), space, ["local_search"], budget=30, runs=3)
    assert "nearest by encoding" in found.notes[0]
    assert next(r for r in found.records if r["strategy"] == "local_search")["regret"] == 0.0


def test_neighbours_in_a_table_are_mutual_and_enough() -> None:
    base = RnnCell()
    cells = [base.sample(Random(i)) for i in range(40)]
    table = Tabular(base, [*cells, cells[0]])
    assert table.size() == len(set(cells)) == len(list(table.everything()))
    for arch in table.everything():
        near = list(table.neighbours(arch))
        assert len(near) >= NEAR
        assert arch not in near
        assert all(arch in list(table.neighbours(other)) for other in near)
        assert table.mutate(arch, Random(0)) in near
    assert table.crossover(cells[3], cells[3], Random(0)) == cells[3]
    with pytest.raises(InvalidArchitecture, match="not among the 39"):
        table.validate(base.sample(Random(99)))


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"budget": 0}, UsageError, "budget=0"),
        ({"runs": 1}, UsageError, "runs=1"),
        ({"target": "speed"}, BadData, "0 architectures of the table have a speed"),
        ({"target": "pple"}, UnknownName, "'ppl'"),
    ],
)
def test_wrong_questions(wrong: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        played("grid", **wrong)
    with pytest.raises(UsageError, match="--fidelity"):
        played("hyperband")
    with pytest.raises(UnknownName):
        played("gird")


@pytest.mark.skipif(not DATA.is_dir(), reason="the real tables are not at hand")
def test_the_command_on_a_real_table(run: Any, wrong: Any) -> None:
    words = ["compare", "regularized_evolution", "tpe", "--benchmark", "lts_gpt2_wt103", "--data", DATA]
    said = run(*words, "--budget", 12, "--runs", 3, "--json").stdout
    records = json.loads(said)
    assert {r["strategy"] for r in records} == {"random_search", "regularized_evolution", "tpe"}
    assert all(r["regret"] >= 0 and r["runs"] == 3 and r["budget"] == 12 for r in records)
    assert "minus random" in run(*words, "--budget", 12, "--runs", 3).stdout
    assert "hyperband" in wrong("compare", "hyperband", "--benchmark", "lts_gpt2_wt103", "--data", DATA)
    assert len(api.compare("all", "lts_gpt2_wt103", data=DATA, budget=4, runs=2).records) >= 6
