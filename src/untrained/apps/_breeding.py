"""Random formulas, and new ones made of old ones; every tree is of the right level by construction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from untrained.core.formula import (
    GRIDWISE,
    MATRICES,
    OVER_LAYERS,
    POINTWISE,
    REDUCTIONS,
    SCALARS,
    Node,
    apply,
    const,
    read,
)

CONSTANTS = (0.01, 0.03, 0.1, 0.25, 0.3, 0.5, 1.0, 2.0, 3.0)
DEPTH = 6  # of a tree that is made at random
SUMS = ("add", "add", "sub", "mul")


def grown(level: str, inputs: Sequence[str], rng: Random, depth: int = DEPTH) -> Node:
    """A random expression of a level over those inputs, some of which must be matrices."""
    if level == "net":
        return _net(inputs, rng, depth)
    if level == "layer":
        return _layer(inputs, rng, depth)
    return _matrix(inputs, rng, depth)


def _net(inputs: Sequence[str], rng: Random, depth: int) -> Node:
    scalars = [n for n in SCALARS if n in inputs]
    luck = rng.random()
    if scalars and (depth <= 3 or luck < 0.15):
        leaf = read(rng.choice(scalars))
        return apply("mul", const(rng.choice(CONSTANTS)), leaf) if rng.random() < 0.5 else leaf
    if depth <= 3 or luck < 0.55:
        return apply(rng.choice(OVER_LAYERS), _layer(inputs, rng, depth - 1))
    if luck < 0.7:
        return apply(rng.choice(POINTWISE), _net(inputs, rng, depth - 1))
    return apply(rng.choice(SUMS), _net(inputs, rng, depth - 1), _second("net", inputs, rng, depth - 1))


def _layer(inputs: Sequence[str], rng: Random, depth: int) -> Node:
    luck = rng.random()
    if depth <= 2 or luck < 0.6:
        return apply(rng.choice(REDUCTIONS), _matrix(inputs, rng, depth - 1))
    if luck < 0.8:
        return apply(rng.choice(POINTWISE), _layer(inputs, rng, depth - 1))
    return apply(rng.choice(SUMS), _layer(inputs, rng, depth - 1), _second("layer", inputs, rng, depth - 1))


def _matrix(inputs: Sequence[str], rng: Random, depth: int) -> Node:
    leaf = read(rng.choice([n for n in MATRICES if n in inputs]))
    luck = rng.random()
    if depth <= 1 or luck < 0.4:
        return leaf
    if luck < 0.7:
        return apply(rng.choice(POINTWISE), _matrix(inputs, rng, depth - 1))
    if luck < 0.85:
        return apply(rng.choice(GRIDWISE), _matrix(inputs, rng, depth - 1))
    if rng.random() < 0.2:
        return apply("matmul", _matrix(inputs, rng, depth - 1), _matrix(inputs, rng, depth - 1))
    return apply(rng.choice(SUMS), _matrix(inputs, rng, depth - 1), _second("matrix", inputs, rng, depth - 1))


def _second(level: str, inputs: Sequence[str], rng: Random, depth: int) -> Node:
    """What stands on the right of a sum or product: a constant now and then."""
    return const(rng.choice(CONSTANTS)) if rng.random() < 0.25 else grown(level, inputs, rng, depth)


def crossed(mother: Node, father: Node, rng: Random) -> Node:
    """The mother with one part replaced by a part of the father of the same level."""
    path, part = rng.choice(list(_places(mother)))
    fitting = [n for n in father.walk() if n.level == part.level]
    return _put(mother, path, rng.choice(fitting)) if fitting else mother


def mutated(node: Node, inputs: Sequence[str], rng: Random) -> Node:
    """The node with one part grown anew, wrapped, lifted, exchanged, or one more term."""
    luck = rng.random()
    path, part = rng.choice(list(_places(node)))
    if part.op == "const":
        return _put(node, path, const(float(part.leaf) * rng.choice((0.5, 0.8, 1.25, 2.0, -1.0))))
    if luck < 0.35:
        return _put(node, path, grown(part.level, inputs, rng, rng.randint(1, 4)))
    if luck < 0.5:
        return apply(rng.choice(SUMS), node, grown("net", inputs, rng, 4))
    if luck < 0.65:
        ops = POINTWISE + GRIDWISE if part.level == "matrix" else POINTWISE
        return _put(node, path, apply(rng.choice(ops), part))
    if luck < 0.8:
        below = [n for n in part.walk() if n.level == part.level]
        return _put(node, path, rng.choice(below))
    return _put(node, path, _exchanged(part, inputs, rng))


def _exchanged(part: Node, inputs: Sequence[str], rng: Random) -> Node:
    """Another input or operation of the same kind in the place of this one."""
    if part.op == "input":
        kind = SCALARS if part.leaf in SCALARS else MATRICES
        return read(rng.choice([n for n in kind if n in inputs]))
    for alike in (POINTWISE, GRIDWISE, REDUCTIONS, OVER_LAYERS, SUMS):
        if part.op in alike:
            return apply(rng.choice(alike), *part.args)
    return part


def _places(node: Node, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Node]]:
    """Every part with the way to it."""
    yield path, node
    for i, a in enumerate(node.args):
        yield from _places(a, (*path, i))


def _put(node: Node, path: tuple[int, ...], part: Node) -> Node:
    if not path:
        return part
    args = list(node.args)
    args[path[0]] = _put(args[path[0]], path[1:], part)
    return Node(node.op, tuple(args), node.leaf)
