"""Recurrent cells as graphs of seven ops: the space of NAS-Bench-NLP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import IO, TYPE_CHECKING, Any, ClassVar

from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, UnknownName
from untrained.core.space import Graph, Shape, Space, space
from untrained.spaces import _cell_generator as generator_rules
from untrained.spaces._cell_canonical import canonical
from untrained.spaces._cell_classics import CLASSICS, Recipe
from untrained.spaces._cell_edits import EDITS, MAX_STATES
from untrained.spaces._cell_features import TRAITS, features, traits
from untrained.spaces._cell_graph import CellGraph, X, source_name
from untrained.spaces._cell_recipe import from_value, read, to_value, write

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Scale:
    """The size of the language model that a cell is put into; its decoder is tied to the embedding."""

    embedding: int
    """channels"""
    hidden: tuple[int, ...]
    """channels of each layer; the last equals the embedding, as the tied decoder needs"""
    vocabulary: int
    """tokens"""
    sequences: int = 50
    """in the batch on which it is scored"""
    length: int = 70
    """tokens per sequence of that batch"""


SCALES = {
    "paper": Scale(embedding=400, hidden=(600, 600, 400), vocabulary=10_000),  # as trained on Penn Treebank
    "probe": Scale(
        embedding=64, hidden=(64, 64, 64), vocabulary=2_000, length=35
    ),  # ranks alike, far cheaper
}


@space
class RnnCell(Space):
    """Recurrent cells as graphs of seven ops: the space of NAS-Bench-NLP.

    A cell maps the input x and hidden states h_prev_0, h_prev_1, ... to h_new_0 (its output), h_new_1, ...
    through the ops linear (of 2 or 3 inputs: one matrix each, one bias), tanh, sigm and leaky_relu, sum, prod
    and blend(a, b, c) = a * b + (1 - a) * c.

    Value:   `arch.cell` is (nodes, states). A node is (op, inputs); an input is "x", "h_prev_k" or the number
             of an earlier node. `states` holds the numbers of the nodes that become h_new_0, h_new_1, ...
    Size:    not known. `max_nodes` makes it finite, but no formula counts these graphs up to renaming.
    Source:  Klyuchnikov et al. 2020, arXiv:2006.07116
    Differs: equal cells are one; `mutate`, `crossover` and `neighbours` also reach cells that the published
             generator rejects or cannot draw, such as the GRU
    """

    sizes: ClassVar[tuple[str, ...]] = ("vocabulary", "width", "layers")

    def __init__(self, *, intermediate: int = 7, states: int = 2, max_nodes: int = 16) -> None:
        """The published generator draws `intermediate` + `states` nodes and drops those that are not used.

        `max_nodes` bounds what mutation and crossover may grow to; cells from elsewhere may be larger.
        """
        if not (1 <= states <= MAX_STATES and intermediate >= 1 and max_nodes > intermediate + states):
            raise InvalidArchitecture(
                f"rnn_cell: {intermediate=}, {states=} and {max_nodes=} do not go together:\n"
                f"  1 to {MAX_STATES} states, at least 1 intermediate node, and max_nodes above their sum"
            )
        self.intermediate, self.states, self.max_nodes = intermediate, states, max_nodes

    # --- in and out --------------------------------------------------------------------------------

    def from_recipe(self, recipe: str | bytes | Mapping[str, Any] | IO[Any]) -> Architecture:
        """Reads a published recipe: JSON text, an open file, or the parsed object."""
        return self._made(canonical(read(recipe)))

    def to_recipe(self, arch: Architecture) -> Recipe:
        """The published form: {"node_0": {"op": ..., "input": [...]}, ..., "h_new_0": {...}}."""
        return write(self._graph(arch))

    @classmethod
    def classic(cls, name: str) -> Architecture:
        """A well-known cell: rnn, lstm or gru."""
        if name not in CLASSICS:
            raise UnknownName(
                "classic cell", name, sorted(CLASSICS), more="untrained.spaces.rnn_cell.CLASSICS"
            )
        return cls._made(canonical(read(CLASSICS[name])))

    def validate(self, arch: Architecture) -> None:
        """Raises InvalidArchitecture unless the cell can be built and is in canonical form."""
        if arch.space != self.name:
            raise InvalidArchitecture(
                f"an architecture of {arch.space!r} was given to the space {self.name!r}"
            )
        if [name for name, _ in arch.choices] != ["cell"]:
            given = ", ".join(name for name, _ in arch.choices) or "nothing"
            raise InvalidArchitecture(f"{self.name}: the one choice is 'cell', not {given}")
        right = self._made(canonical(self._graph(arch)))
        if right != arch:
            raise InvalidArchitecture(
                "this cell is not in canonical form, so it would get an id of its own.\n"
                f"  write it as: {right.to_json()}"
            )

    # --- luck --------------------------------------------------------------------------------------

    def sample(self, rng: Random) -> Architecture:
        """A cell drawn as the benchmark's were."""
        return self._made(generator_rules.generate(rng, intermediate=self.intermediate, states=self.states))

    def mutate(self, arch: Architecture, rng: Random) -> Architecture:
        """A random neighbour; a fresh sample if a cell should have none."""
        child = generator_rules.mutated(self._graph(arch), rng, max_nodes=self.max_nodes)
        return self.sample(rng) if child is None else self._made(child)

    def crossover(self, a: Architecture, b: Architecture, rng: Random) -> Architecture:
        """A node of one parent, with all it depends on, in the place of a node of the other."""
        child = generator_rules.crossed(self._graph(a), self._graph(b), rng, max_nodes=self.max_nodes)
        return self.mutate(a, rng) if child is None else self._made(child)

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Every cell that is one edit away, each once, in a fixed order; `_cell_edits.py` has the edits."""
        graph = self._graph(arch)
        seen = {graph}
        for edit in EDITS:
            for changed in edit(graph):
                child = canonical(changed)
                if child not in seen and generator_rules.sound(child, graph, max_nodes=self.max_nodes):
                    seen.add(child)
                    yield self._made(child)

    def size(self) -> int | None:
        return None

    # --- other forms -------------------------------------------------------------------------------

    def encode(self, arch: Architecture) -> list[float]:
        """Counts of ops and of who reads what, depths and path lengths; `_cell_features.NAMES` names them."""
        return features(self._graph(arch))

    def traits(self, arch: Architecture) -> dict[str, Any]:
        """How many nodes of each op, how many states, and how long the ways are; see `_cell_features`."""
        return dict(zip(TRAITS, map(int, traits(self._graph(arch))), strict=True))

    def graph(self, arch: Architecture) -> Graph:
        """Inputs, nodes, then a sink for each h_new. Edges into a node come in the order of its inputs."""
        cell = self._graph(arch)
        inputs = [s for s in cell.sources() if s < 0 and cell.reads(s)]
        place = {s: i for i, s in enumerate([*inputs, *range(len(cell.nodes))])}
        labels = [*(str(source_name(s)) for s in inputs), *(op for op, _ in cell.nodes)]
        edges = [(place[source], place[number]) for number, _, source in cell.uses()]
        edges += [(place[number], len(labels) + state) for state, number in enumerate(cell.states)]
        return Graph((*labels, *(f"h_new_{k}" for k in range(len(cell.states)))), tuple(edges))

    def baseline(self, arch: Architecture) -> dict[str, float]:
        """Simple orders: how many nodes, and how many of them gate (prod and blend)."""
        ops = [op for op, _ in self._graph(arch).nodes]
        return {"nodes": float(len(ops)), "gates": float(ops.count("elementwise_prod") + ops.count("blend"))}

    # --- networks ----------------------------------------------------------------------------------

    def count(self, arch: Architecture, *, scale: str = "paper") -> dict[str, int]:
        """Parameters and FLOPs in closed form: per linear node a matrix for each input and one bias."""
        size, graph = self._scale(scale), self._graph(arch)
        cell, biases = cell_parameters(graph, size), cell_biases(graph, size)
        return {
            "params": cell + size.vocabulary * (size.embedding + 1),
            "params_nonembedding": cell,
            "flops": 2 * (cell - biases + size.vocabulary * size.embedding),
        }

    def shape(self, scale: str) -> Shape:
        """The batch of the published study at paper scale, half its length at probe scale."""
        size = self._scale(scale)
        return Shape(size.vocabulary, size.sequences, size.length)

    def build(
        self, arch: Architecture, *, scale: str = "paper", generator: torch.Generator | None = None
    ) -> torch.nn.Module:
        """The language model around the cell: embedding, one layer of it per width, tied decoder."""
        from untrained.nn.recurrent import (
            GraphLayer,
            RecurrentLM,
        )  # here, so that listing spaces loads no torch

        size = self._scale(scale)
        nodes, states = arch.cell
        widths = zip((size.embedding, *size.hidden), size.hidden, strict=False)
        layers = [GraphLayer(nodes, states, inputs, hidden, generator) for inputs, hidden in widths]
        return RecurrentLM(layers, vocabulary=size.vocabulary, embedding=size.embedding, generator=generator)

    # --- the small parts ---------------------------------------------------------------------------

    @classmethod
    def _made(cls, graph: CellGraph) -> Architecture:
        return Architecture.of(cls.name, cell=to_value(graph))

    @staticmethod
    def _graph(arch: Architecture) -> CellGraph:
        return from_value(arch.cell)

    @classmethod
    def _scale(cls, scale: str) -> Scale:
        name, sizes = cls.at(scale)
        found = SCALES[name]
        width, layers = sizes.get("width"), sizes.get("layers", len(found.hidden))
        if width is not None:
            found = replace(found, embedding=width, hidden=(width,) * layers)
        elif layers != len(found.hidden):
            inner = (found.hidden[0],) * (layers - 1)
            found = replace(found, hidden=(*inner, found.embedding))
        return replace(found, vocabulary=sizes.get("vocabulary", found.vocabulary))


def cell_biases(graph: CellGraph, scale: Scale) -> int:
    """Biases of the cells of all layers: one per linear node and unit."""
    return sum(op == "linear" for op, _ in graph.nodes) * sum(scale.hidden)


def cell_parameters(graph: CellGraph, scale: Scale) -> int:
    """Weights and biases of the cells of all layers.

    Formula: sum over layers and linear nodes of H (1 + sum over its inputs of (I if x, else H)), with H the
             layer's width and I that of the layer below
    """
    linear = [sources for op, sources in graph.nodes if op == "linear"]
    from_x = sum(sources.count(X) for sources in linear)
    from_cell = sum(map(len, linear)) - from_x
    below = (scale.embedding, *scale.hidden)
    return sum(
        hidden * (len(linear) + from_x * inputs + from_cell * hidden)
        for inputs, hidden in zip(below, scale.hidden, strict=False)
    )
