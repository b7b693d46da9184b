"""Effects that were planted are found, those that were not are not; parts of it worked by hand."""

from random import Random

import numpy as np
import pytest

from untrained.core.architecture import Architecture
from untrained.core.effects import Effects, effects, slope
from untrained.core.errors import UsageError
from untrained.core.space import Space, choice
from untrained.core.traits import blocks


class Toy(Space):
    """Depth and width decide in these tests; the kinds of the layers only go along with depth."""

    name = "toy"
    depth = choice(2, 4)
    width = choice(16, 32, 64)
    kind = choice("a", "b", "c", per="depth")
    heads = choice(1, 2, 4, per="depth")

    def build(self, arch, *, scale="paper", generator=None):
        raise NotImplementedError


def drawn(n: int, seed: int = 0) -> list[Architecture]:
    rng = Random(seed)
    return list(dict.fromkeys(Toy().sample(rng) for _ in range(n)))


def found(quality, archs, **settings) -> Effects:
    return effects(blocks(Toy(), archs), quality, **settings)


def test_columns_of_a_block_are_what_was_decided():
    archs = [
        Architecture.of("toy", depth=2, width=16, kind=("a", "b"), heads=(1, 4)),
        Architecture.of("toy", depth=4, width=64, kind=("b", "b", "b", "a"), heads=(2, 2, 4, 4)),
        Architecture.of("toy", depth=4, width=64, kind=("b", "b", "b", "a"), heads=(2, 2, 2, 4)),
        Architecture.of("toy", depth=4, width=64, kind=("b", "b", "b", "b"), heads=(2, 2, 2, 4)),
    ]
    depth, kind, heads = blocks(Toy(), archs)  # width always goes with depth here
    assert (depth.choice, depth.also) == ("depth", ("width",))
    assert depth.columns.tolist() == [[1, 0], [0, 1], [0, 1], [0, 1]]
    assert [o.name for o in kind.options] == ["a", "b"]
    assert kind.columns[:2].tolist() == [[0.5, 0.5, 1, 0, 0, 1], [0.25, 0.75, 0, 1, 1, 0]]
    assert kind.options[1].weight.tolist() == [0.5, 0.75, 0.75, 1]
    assert heads.columns[:2, 2:].tolist() == [
        [1, 4],
        [2, 4],
    ]  # first and last; the mean and its square before


def test_a_slope_of_a_yes_or_no_is_a_difference_of_means():
    assert slope(np.array([0.0, 0, 1, 1]), np.array([1.0, 3, 7, 9])) == pytest.approx(6)
    assert slope(np.ones(3), np.arange(3.0)) == 0


def test_what_was_planted_is_found():
    archs = drawn(300)
    rng = np.random.default_rng(1)
    quality = [2.0 * (a.depth == 4) + (a.width == 64) + rng.normal(0, 0.3) for a in archs]
    told = found(quality, archs)
    assert told.decide() == ["depth", "width"]
    assert set(told.idle()) == {"kind", "heads"}
    assert told.found
    assert told.explained > 0.7
    by_option = {(o.choice, o.option): o for o in told.options}
    assert by_option["width", "64"].difference == pytest.approx(
        np.mean([q for q, a in zip(quality, archs, strict=True) if a.width == 64])
        - np.mean([q for q, a in zip(quality, archs, strict=True) if a.width != 64])
    )
    assert by_option["depth", "4"].low > 20


def test_credit_is_not_given_for_going_along():
    """The number of layers of a kind grows with depth, and depth alone decides."""
    archs = [a for a in drawn(600) if (a.kind.count("a") >= 2) == (a.depth == 4)]
    assert len(archs) > 150
    rng = np.random.default_rng(2)
    told = found([(a.depth == 4) + rng.normal(0, 0.1) for a in archs], archs)
    assert told.decide() == ["depth"]
    assert told.verdict("kind") != "matters"


@pytest.mark.parametrize("seed", range(8))
def test_where_there_is_nothing_nothing_is_found(seed):
    archs = drawn(120, seed)
    told = found(np.random.default_rng(seed).normal(size=len(archs)), archs, seed=seed)
    assert told.decide() == []
    assert not told.found


def test_two_that_only_matter_together_are_found_as_a_pair():
    archs = drawn(300)
    rng = np.random.default_rng(3)
    quality = [float((a.depth == 4) == (a.width == 64)) + rng.normal(0, 0.2) for a in archs]
    told = found(quality, archs, pairs=True)
    assert told.pairs[0].choice == "depth with width"
    assert told.pairs[0].low > 0.1
    assert not any(pair.low > 0.05 for pair in told.pairs[1:])


def test_order_alone_counts_and_equal_seeds_agree():
    archs = drawn(100)
    rng = np.random.default_rng(4)
    quality = np.array([a.width + rng.normal(0, 10) for a in archs])
    assert found(quality, archs).choices == found(np.exp(quality / 9), archs).choices
    assert found(quality, archs) == found(quality, archs)


def test_too_few_to_tell():
    with pytest.raises(UsageError, match="too few to tell"):
        found([1.0, 2.0], drawn(2))


def test_decisions_that_are_the_same_everywhere_are_left_out():
    archs = [a for a in drawn(200) if a.depth == 2]
    assert [b.choice for b in blocks(Toy(), archs)] == ["width", "kind", "heads"]
