"""The space of RNN cells: what it draws and changes is valid, and the forms it gives are right."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_runner import node

from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, UnknownName
from untrained.spaces import _cell_generator
from untrained.spaces.rnn_cell import CLASSICS, RnnCell

SPACE = RnnCell()
light = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32)
cells = st.builds(lambda seed, states: RnnCell(states=states).sample(Random(seed)), seeds, st.integers(1, 3))
any_cells = cells | st.sampled_from(sorted(CLASSICS)).map(RnnCell.classic)


@light
@given(any_cells)
def test_json_and_recipe_round_trips_return_the_same_cell(arch):
    SPACE.validate(arch)
    assert Architecture.from_json(arch.to_json()) == arch
    assert SPACE.from_recipe(json.dumps(SPACE.to_recipe(arch))) == arch


@light
@given(any_cells, seeds)
def test_mutation_gives_a_valid_different_neighbour(arch, seed):
    child = SPACE.mutate(arch, Random(seed))
    SPACE.validate(child)
    assert child.id != arch.id
    assert sees_and_remembers(child)
    assert SPACE.mutate(arch, Random(seed)) == child


@light
@given(any_cells, any_cells, seeds)
def test_crossover_gives_a_valid_child_unlike_its_parents(a, b, seed):
    child = SPACE.crossover(a, b, Random(seed))
    SPACE.validate(child)
    assert child.id not in (a.id, b.id)
    assert sees_and_remembers(child)
    assert len(child.cell[0]) <= max(SPACE.max_nodes, len(a.cell[0]), len(b.cell[0]))


@settings(max_examples=8, deadline=None)
@given(any_cells)
def test_neighbours_are_valid_distinct_and_in_a_fixed_order(arch):
    found = list(SPACE.neighbours(arch))
    assert arch not in found
    assert len(set(found)) == len(found) >= 30
    assert found == list(SPACE.neighbours(arch))
    for child in found:
        SPACE.validate(child)
        assert sees_and_remembers(child)
    assert {SPACE.mutate(arch, Random(seed)) for seed in range(30)} <= set(found)


def sees_and_remembers(arch: Architecture) -> bool:
    read = {source for _, inputs in arch.cell[0] for source in inputs if isinstance(source, str)}
    return "x" in read and len(read) > 1


def test_edits_lead_from_the_plain_rnn_to_cells_with_three_states_and_back():
    """Nothing is out of reach in principle: sizes and states go up and down on a random walk."""
    rng, arch = Random(5), SPACE.classic("rnn")
    sizes, states = Counter(), Counter()
    for _ in range(400):
        arch = SPACE.mutate(arch, rng)
        sizes[len(arch.cell[0])] += 1
        states[len(arch.cell[1])] += 1
    assert set(states) == {1, 2, 3}
    assert min(sizes) <= 3
    assert 10 <= max(sizes) <= SPACE.max_nodes


def test_the_neighbours_of_the_plain_rnn_are_those_that_paper_gives():
    """tanh(linear(x, h)): the ones that do not grow, listed by hand."""
    linear = ("linear", ("x", "h_prev_0"))
    found = [n.cell for n in SPACE.neighbours(SPACE.classic("rnn"))]
    assert {cell for cell in found if len(cell[0]) <= 2} == {
        ((linear, ("activation_sigm", (0,))), (1,)),
        ((linear, ("activation_leaky_relu", (0,))), (1,)),
        ((linear,), (0,)),  # without its activation
        ((("activation_tanh", ("h_prev_1",)), linear), (0, 1)),  # the activation comes one step later
        ((("linear", ("x", "h_prev_1")), ("activation_tanh", (0,))), (1, 0)),  # the linear node is remembered
    }
    assert len(found) == 30


def test_a_cell_that_outgrew_the_space_may_be_changed_but_not_enlarged():
    small, big = RnnCell(intermediate=3, states=1, max_nodes=5), RnnCell.classic("lstm")
    rng = Random(0)
    for _ in range(30):
        assert len(small.mutate(big, rng).cell[0]) <= len(big.cell[0])


def test_a_parent_that_reads_a_source_twice_or_not_x_still_has_children():
    doubled = SPACE.from_recipe(
        {"f": node("linear", "x", "h_prev_0"), "h_new_0": node("elementwise_prod", "f", "f")}
    )
    blind = SPACE.from_recipe({"h_new_0": node("linear", "h_prev_0", "h_prev_0")})
    for arch in (doubled, blind):
        assert sees_and_remembers(SPACE.mutate(arch, Random(1)))
        assert any(True for _ in SPACE.neighbours(arch))


def test_the_generator_keeps_the_published_rules():
    for states in (1, 2, 3):
        space, rng = RnnCell(states=states), Random(states)
        for _ in range(150):
            recipe = space.to_recipe(space.sample(rng))
            read = {source for entry in recipe.values() for source in entry["input"]}
            assert {"x", *(f"h_prev_{k}" for k in range(states))} <= read
            assert sum(name.startswith("h_new_") for name in recipe) == states
            assert len(recipe) <= 7 + states + 1
            for name, entry in recipe.items():
                assert len(set(entry["input"])) == len(entry["input"])
                assert "x" not in entry["input"] or entry["op"] == "linear"
                if name.startswith("h_new_"):
                    assert not any(source.startswith("h_prev") for source in entry["input"])
                if entry["op"] == "linear":
                    ops = {recipe[source]["op"] for source in entry["input"] if source in recipe}
                    assert all(op.startswith("activation") for op in ops)
                if entry["op"].startswith("activation"):
                    assert recipe[entry["input"][0]]["op"] == "linear"


def test_sampling_depends_on_the_given_generator_alone():
    before = random.getstate()
    first = [SPACE.sample(Random(3)), SPACE.mutate(SPACE.classic("gru"), Random(3))]
    random.seed(12)
    state = random.getstate()
    assert first == [SPACE.sample(Random(3)), SPACE.mutate(SPACE.classic("gru"), Random(3))]
    assert random.getstate() == state
    random.setstate(before)


@pytest.mark.parametrize("options", [{"states": 0}, {"states": 4}, {"intermediate": 0}, {"max_nodes": 9}])
def test_options_that_do_not_go_together_are_refused(options):
    with pytest.raises(InvalidArchitecture, match="do not go together"):
        RnnCell(**options)


def test_a_budget_for_which_no_draw_is_valid_says_so(monkeypatch):
    monkeypatch.setattr(_cell_generator, "TRIES", 3)
    with pytest.raises(InvalidArchitecture, match=r"no valid cell in 3 draws .* give more nodes"):
        RnnCell(intermediate=1, states=3).sample(Random(0))


@pytest.mark.parametrize("name", sorted(CLASSICS))
def test_classics_by_name(name):
    arch = RnnCell.classic(name)
    SPACE.validate(arch)
    assert SPACE.from_recipe(CLASSICS[name]) == arch
    assert len(arch.cell[0]) == len(CLASSICS[name])


def test_an_unknown_classic_or_scale_is_met_with_the_nearest_name():
    with pytest.raises(UnknownName, match="Did you mean 'lstm'"):
        RnnCell.classic("lstmm")
    with pytest.raises(UnknownName, match="Did you mean 'paper'"):
        SPACE.count(SPACE.classic("rnn"), scale="papers")


def test_listing_and_sampling_load_no_torch():
    code = """
import random, sys
from untrained.spaces.rnn_cell import RnnCell
RnnCell().sample(random.Random(0))
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
