"""The decisions of a declared space as a tree: at each fork one is taken, or half of one."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from untrained.core.architecture import Architecture
from untrained.core.space import Space
from untrained.strategies._branches import Busy, Node, pick
from untrained.strategies._unseen import any_unseen

if TYPE_CHECKING:
    from untrained.core.study import Trial

Range = tuple[int, int]
"""numbers of options: the first, and one past the last"""


class Fork(Node):
    """A path as far as it goes, and the ways on that trials took."""

    __slots__ = ("children", "own", "used")

    def __init__(self, own: Architecture | None = None) -> None:
        super().__init__()
        self.own = own
        """the one architecture that was told here, as long as there is no other"""
        self.children: dict[int, Fork] = {}
        self.used = 0
        """ways on to nothing but architectures that were told; -1 where all are"""


class Slot:
    """One decision of the declaration, taken at once or by halves."""

    def __init__(self, name: str, options: Sequence[Any], *, bisect: bool) -> None:
        self.name, self.options = name, options
        self.number = {option: i for i, option in enumerate(options)}
        self.all: Range = (0, len(options))
        self.ways: dict[Range, list[Range]] = {}
        """where options are open, what each way on leaves open"""
        self.routes: list[list[tuple[int, int]]] = [[] for _ in options]
        """of each option: (way, how many there are) at each of its forks"""
        halved = bisect and len(options) > 2 and ordered(options)
        waiting = [self.all]
        while waiting:
            low, high = waiting.pop()
            if high - low > 1:
                middle = (low + high + 1) // 2
                halves = [(low, middle), (middle, high)]
                ways = halves if halved else [(i, i + 1) for i in range(low, high)]
                self.ways[low, high] = ways
                waiting += ways
                for way, (start, end) in enumerate(ways):
                    for i in range(start, end):
                        self.routes[i].append((way, len(ways)))


def ordered(options: Sequence[Any]) -> bool:
    """Whether options are numbers that rise, or fall, all the way."""
    if not all(isinstance(o, int | float) and not isinstance(o, bool) for o in options):
        return False
    return all(a < b for a, b in pairwise(options)) or all(a > b for a, b in pairwise(options))


class Step(NamedTuple):
    """Which options of a decision a path leaves open."""

    slot: Slot
    layer: int | None
    """None for what is decided once"""
    open: Range


class DecisionTree:
    """First what is decided once, then layer by layer what is decided for each."""

    def __init__(self, space: Space, *, c: float, bisect: bool) -> None:
        self.space, self.c = space, c
        slots = [(Slot(k, s.options, bisect=bisect), s.per) for k, s in space.declared().items()]
        self.single = [slot for slot, per in slots if per is None]
        self.lists = [(slot, per) for slot, per in slots if per is not None]
        self.root = Fork()

    # --- asking --------------------------------------------------------------------------------------

    def ask(self, rng: Random, busy: Busy, *known: Container[str]) -> Architecture:
        """Down to a way that no trial went, then on by chance; from further up where that is used up."""
        path = self._path(rng, busy)
        back = 0
        while back < len(path):
            found = self._rollout(path[: len(path) - back], rng)
            if found is not None and not any(found.id in ids for ids in known):
                return found
            back = 2 * back + 1
        return any_unseen(self.space, rng, *known)

    def _path(self, rng: Random, busy: Busy) -> list[Step]:
        node, path = self.root, list[Step]()
        taken: dict[str, Any] = {}
        for slot, layer in self._slots(taken):
            here = slot.all
            while (ways := slot.ways.get(here)) is not None:
                if len(node.children) < len(ways) and (new := _new_way(node, len(ways), rng)) is not None:
                    return [*path, Step(slot, layer, ways[new])]
                usable = node.children
                if node.used:
                    usable = {way: child for way, child in usable.items() if child.used >= 0}
                if not usable:
                    return path
                way, node = pick(node, usable, self.c, rng, busy)
                here = ways[way]
                path.append(Step(slot, layer, here))
            taken[slot.name] = slot.options[here[0]]
        return path

    def _slots(self, taken: Mapping[str, Any]) -> Iterator[tuple[Slot, int | None]]:
        """The decisions in order, each with its layer; `taken` has the single ones by the first list."""
        for slot in self.single:
            yield slot, None
        for layer in range(max((taken[per] for _, per in self.lists), default=0)):
            for slot, per in self.lists:
                if layer < taken[per]:
                    yield slot, layer

    def _rollout(self, path: Sequence[Step], rng: Random) -> Architecture | None:
        """A random architecture with the decisions of the path in it; None if they do not go together."""
        drawn = dict(self.space.sample(rng).choices)
        last = {(step.slot.name, step.layer): step for step in path}.values()  # the last step says most
        for slot, layer, here in last:
            if layer is None:
                drawn[slot.name] = _within(slot, here, drawn[slot.name], rng)
        # Layers beyond those drawn are drawn one by one or, as not all may go together, are those again.
        again = rng.random() < 0.5
        values = {
            slot.name: _resized(drawn[slot.name], drawn[per], slot, again, rng) for slot, per in self.lists
        }
        for slot, layer, here in last:
            if layer is not None:
                values[slot.name][layer] = _within(slot, here, values[slot.name][layer], rng)
        arch = Architecture.of(self.space.name, **drawn | values)
        return arch if self.space.valid(arch) else None

    # --- being told ----------------------------------------------------------------------------------

    def grow(self, trial: Trial) -> None:
        """A place of its own for it, at the first fork where it parts from all others."""
        arch = trial.architecture
        forks = list(self._forks(arch))
        if forks and forks[-1][0] < 0:
            return
        node, above = self.root, list[tuple[Fork, int]]()
        for depth, (way, ways) in enumerate(forks):
            above.append((node, ways))
            if node.own is not None:
                if node.own == arch:
                    return
                _settle(node.own, list(self._forks(node.own)), depth, above)
                node.own = None
            child = node.children.get(way)
            if child is None:
                _settle(arch, forks, depth, above)
                return
            node = child

    def credit(self, arch: Architecture, reward: float) -> None:
        node = self.root
        node.credit(reward)
        for way, _ in self._forks(arch):
            if way not in node.children:
                return
            node = node.children[way]
            node.credit(reward)

    def forget(self) -> None:
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            node.forget()
            waiting += node.children.values()

    def _forks(self, arch: Architecture) -> Iterator[tuple[int, int]]:
        """Its (way, how many there are) at each fork; ends with -1 at what no declaration has."""
        given = dict(arch.choices)
        for slot, layer in self._slots(given):
            value = given[slot.name] if layer is None else given[slot.name][layer]
            number = slot.number.get(value)
            if number is None:
                yield -1, 0
                return
            yield from slot.routes[number]


def _new_way(node: Fork, ways: int, rng: Random) -> int | None:
    """One of the ways that no trial went; None where so many visits did not meet them.

    Then they do not go together with what was decided before.
    """
    if node.children and node.visits >= 4 * ways + 16:
        return None
    return rng.choice([i for i in range(ways) if i not in node.children])


def _settle(
    arch: Architecture, forks: Sequence[tuple[int, int]], depth: int, above: list[tuple[Fork, int]]
) -> None:
    """Makes a place for an architecture after the last of those above; they may be used up by it."""
    node = above[-1][0]
    node.children[forks[depth][0]] = leaf = Fork(arch)
    if arch == node.own:
        leaf.credit(node.total, node.visits)
    if depth + 1 == len(forks):
        leaf.used = -1
        for place, ways in reversed(above):
            place.used += 1
            if place.used < ways:
                return
            place.used = -1


def _within(slot: Slot, here: Range, value: Any, rng: Random) -> Any:
    """The value, if it is one of the open options; else a random one of them."""
    low, high = here
    return value if low <= slot.number.get(value, -1) < high else slot.options[rng.randrange(low, high)]


def _resized(values: tuple[Any, ...], count: int, slot: Slot, again: bool, rng: Random) -> list[Any]:
    more = range(len(values), count)
    if again and values:
        return [*values[:count], *(values[i % len(values)] for i in more)]
    return [*values[:count], *(rng.choice(slot.options) for _ in more)]
