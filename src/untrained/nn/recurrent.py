"""Recurrent language models: cells given as graphs, torch's own cells, and the model around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from untrained.core.errors import MissingRole
from untrained.nn.taps import Tape

Node = tuple[str, tuple[str | int, ...]]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "activation_tanh": torch.tanh,
    "activation_sigm": torch.sigmoid,
    "activation_leaky_relu": lambda x: leaky_relu(x, 0.01),
}
ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    **ACTIVATIONS,
    "elementwise_sum": torch.add,
    "elementwise_prod": torch.mul,
    "blend": lambda a, b, c: torch.lerp(c, b, a),  # a*b + (1-a)*c
}

GATES = ("elementwise_prod", "blend")
NodeFunction = Callable[[list[Tensor], int], Tensor]


class GraphLayer(nn.Module):
    """One recurrent layer whose cell is a graph.

    `nodes` are (op, inputs) in an order in which they can be computed; an input is "x", "h_prev_k" or the
    position of an earlier node. `new` says which node is which next state; state 0 is the output.
    A linear node has one matrix an input and one bias: sum_i in_i @ W_i + b.
    Init: everything U(-1/sqrt(H), 1/sqrt(H)), as in NAS-Bench-NLP.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        new: Sequence[int],
        inputs: int,
        hidden: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.nodes, self.new, self.hidden = tuple(nodes), tuple(new), hidden
        self.biases = nn.ParameterDict()
        self.matrices = nn.ParameterDict()
        for i, (op, sources) in enumerate(self.nodes):
            if op == "linear":
                self.biases[str(i)] = _uniform((hidden,), hidden, generator)
                for j, source in enumerate(sources):
                    rows = inputs if source == "x" else hidden
                    self.matrices[f"{i}_{j}"] = _uniform((rows, hidden), hidden, generator)

    def forward(
        self,
        x: Tensor,
        tape: Tape | None = None,
        layer: int = 0,
        start: Sequence[Tensor] | None = None,
        end: list[Sequence[Tensor]] | None = None,
    ) -> Tensor:
        """(T, B, inputs) -> (T, B, H), from the states `start` (each (B, H)), else from zero.

        `end` is given the states after the last step.
        """
        nodes = self._compiled(x)
        tap_state = tape if tape is not None and tape.wants("state") else None
        tap_hidden = tape if tape is not None and tape.wants("hidden") else None
        tap_active = tape if tape is not None and tape.wants("activation") else None
        active, following = self._active, self._next
        state = list(start or (x.new_zeros(x.shape[1], self.hidden) for _ in self.new))
        outputs = []
        for t in range(x.shape[0]):
            if tap_state is not None:
                tap_state.add("state", layer, *state)
            if tap_hidden is not None:
                tap_hidden.add("hidden", layer, state[0])
            values = state.copy()  # then the nodes, in their order
            for node in nodes:
                values.append(node(values, t))
            if tap_active is not None:
                tap_active.add("activation", layer, *(values[i] for i in active))
            state = [values[i] for i in following]
            outputs.append(state[0])
        if end is not None:
            end.append(state)
        return torch.stack(outputs)

    @property
    def gates(self) -> int:
        """Nodes that multiply two signals."""
        return sum(op in GATES for op, _ in self.nodes)

    @property
    def _active(self) -> list[int]:
        return [len(self.new) + i for i, (op, _) in enumerate(self.nodes) if op in ACTIVATIONS]

    @property
    def _next(self) -> list[int]:
        return [len(self.new) + i for i in self.new]

    def _place(self, source: str | int) -> int:
        """Where a node finds an input among the values of a step: states first, then nodes."""
        return len(self.new) + source if isinstance(source, int) else int(source.removeprefix("h_prev_"))

    def _compiled(self, x: Tensor) -> list[NodeFunction]:
        """Each node as a function of (values so far, step); what depends on x alone is done beforehand."""
        flat = x.reshape(-1, x.shape[-1])
        made: list[NodeFunction] = []
        for i, (op, sources) in enumerate(self.nodes):
            if op != "linear":
                made.append(_elementwise(ELEMENTWISE[op], [self._place(s) for s in sources]))
                continue
            weights = [self.matrices[f"{i}_{j}"] for j in range(len(sources))]
            ahead, bias = None, self.biases[str(i)]
            for source, weight in zip(sources, weights, strict=True):
                if source == "x":  # for all steps in one matrix product
                    ahead = torch.addmm(bias if ahead is None else ahead, flat, weight)
            steps = None if ahead is None else ahead.view(*x.shape[:2], -1).unbind(0)
            inner = [(self._place(s), w) for s, w in zip(sources, weights, strict=True) if s != "x"]
            made.append(_linear(inner, steps, bias))
        return made

    def weights(self) -> list[nn.Parameter]:
        return list(self.matrices.values())


def _elementwise(op: Callable[..., Tensor], places: list[int]) -> NodeFunction:
    if len(places) == 1:
        (a,) = places
        return lambda values, t: op(values[a])
    return lambda values, t: op(*[values[p] for p in places])


def _linear(inner: list[tuple[int, Tensor]], ahead: tuple[Tensor, ...] | None, bias: Tensor) -> NodeFunction:
    """Sum of matrix products, on top of what is `ahead` for each step, else of the bias."""
    # Without gradients the sums are formed in place: nobody else reads them while they grow.
    add = torch.addmm if torch.is_grad_enabled() else torch.Tensor.addmm_

    def run(values: list[Tensor], t: int) -> Tensor:
        if ahead is not None:
            value, rest = ahead[t], inner
        else:
            (first, weight), rest = inner[0], inner[1:]
            value = torch.addmm(bias, values[first], weight)
        for place, weight in rest:
            value = add(value, values[place], weight)
        return value

    return run


class TorchLayer(nn.Module):
    """One layer and direction of `nn.RNN`, `nn.LSTM` or `nn.GRU`, step by step with the same weights."""

    def __init__(self, module: nn.RNNBase, index: int, reverse: bool = False) -> None:
        super().__init__()
        end = f"_l{index}" + ("_reverse" if reverse else "")
        self.mode, self.reverse, self.module = module.mode, reverse, [module]  # in a list: not a child
        self.names = {n: f"{n}{end}" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")}
        self.width = module.hidden_size
        self.hidden = module.proj_size or module.hidden_size

    @property
    def gates(self) -> int:
        """Products of two signals in a step: f*c, i*g, o*tanh(c); r*h and the blend by z."""
        return {"LSTM": 3, "GRU": 2}.get(self.mode, 0)

    def _weight(self, name: str) -> Tensor | None:
        return getattr(self.module[0], self.names[name], None)

    def forward(
        self, x: Tensor, tape: Tape | None = None, layer: int = 0, start: Sequence[Tensor] | None = None
    ) -> Tensor:
        """(T, B, inputs) -> (T, B, H), from the states `start` (h and c), else from zero."""
        x = x.flip(0) if self.reverse else x
        into, back = self._weight("weight_ih"), self._weight("weight_hh")
        assert into is not None
        assert back is not None
        gates_x = nn.functional.linear(x, into, self._weight("bias_ih")).unbind(0)
        h, c = start or (x.new_zeros(x.shape[1], self.hidden), x.new_zeros(x.shape[1], self.width))
        outputs = []
        for gate in gates_x:
            if tape is not None:
                tape.add("state", layer, h, c)
                tape.add("hidden", layer, h)
            h, c, active = self._step(gate, nn.functional.linear(h, back, self._weight("bias_hh")), h, c)
            if tape is not None:
                tape.add("activation", layer, *active)
            outputs.append(h)
        y = torch.stack(outputs)
        return y.flip(0) if self.reverse else y

    def _step(self, a: Tensor, b: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """One step from the input's share `a` and the state's share `b` of the gates."""
        if self.mode == "LSTM":
            i, f, g, o = (a + b).chunk(4, 1)
            i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
            c = f * c + i * g
            squashed = torch.tanh(c)
            h, project = o * squashed, self._weight("weight_hr")
            return (h if project is None else h @ project.T), c, [i, f, g, o, squashed]
        if self.mode == "GRU":
            (ra, za, na), (rb, zb, nb) = a.chunk(3, 1), b.chunk(3, 1)
            r, z = torch.sigmoid(ra + rb), torch.sigmoid(za + zb)
            n = torch.tanh(na + r * nb)
            return (1 - z) * n + z * h, c, [r, z, n]
        h = torch.tanh(a + b) if self.mode == "RNN_TANH" else torch.relu(a + b)
        return h, c, [h]

    def weights(self) -> list[nn.Parameter]:
        found = (self._weight(n) for n in ("weight_ih", "weight_hh", "weight_hr"))
        return [w for w in found if isinstance(w, nn.Parameter)]


class BothWays(nn.Module):
    """Two directions of one layer, side by side."""

    def __init__(self, ahead: TorchLayer, back: TorchLayer) -> None:
        super().__init__()
        self.ahead, self.back, self.gates = ahead, back, ahead.gates

    def forward(self, x: Tensor, tape: Tape | None = None, layer: int = 0) -> Tensor:
        """(T, B, inputs) -> (T, B, 2H); each direction is a layer of its own on the tape."""
        return torch.cat([self.ahead(x, tape, 2 * layer), self.back(x, tape, 2 * layer + 1)], -1)

    def weights(self) -> list[nn.Parameter]:
        return self.ahead.weights() + self.back.weights()


class RecurrentLM(nn.Module):
    """Embedding, recurrent layers, and a decoder tied to the embedding.

    Init of the embedding: U(-0.1, 0.1), as in AWD-LSTM and NAS-Bench-NLP; decoder bias zero.
    """

    embedding: Tensor
    bias: nn.Parameter | None

    def __init__(
        self,
        layers: Sequence[nn.Module],
        *,
        vocabulary: int,
        embedding: int,
        tied: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        both = any(isinstance(layer, BothWays) for layer in layers)
        # What reads the text from both ends cannot be started in its middle.
        self.roles = ("hidden", "activation", "block") + (() if both else ("state",))
        table = torch.empty(vocabulary, embedding).uniform_(-0.1, 0.1, generator=generator)
        self.layers = nn.ModuleList(layers)
        if tied:
            self.embedding = nn.Parameter(table)
            self.bias = nn.Parameter(torch.zeros(vocabulary))
        else:
            self.register_buffer("embedding", table)  # ours, so it does not count as the module's
            self.bias = None

    def embed(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, E)"""
        return nn.functional.embedding(tokens, self.embedding)

    def encode(
        self,
        embedded: Tensor,
        tape: Tape | None = None,
        start: Sequence[Sequence[Tensor]] | None = None,
        end: list[Sequence[Tensor]] | None = None,
    ) -> Tensor:
        """(B, T, E) -> (B, T, H) of the last layer; `start` has the states of each layer, else zero.

        `end` is given the states of each layer after the last step, where the layers are graphs.
        """
        x = embedded
        for i, layer in enumerate(self.layers):
            steps = x.transpose(0, 1)
            if end is not None:
                x = layer(steps, tape, i, None if start is None else start[i], end)
            else:
                x = layer(steps, tape, i) if start is None else layer(steps, tape, i, start[i])
            x = x.transpose(0, 1)  # what is taped is what the next layer reads, so gradients reach it
            if tape is not None:
                tape.add("block", i, x)
        return x

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> logits (B, T, V); of a bare recurrent module the top states (B, T, H)"""
        top = self.encode(self.embed(tokens))
        return top if self.bias is None else self.decode(top)

    def decode(self, features: Tensor) -> Tensor:
        """(B, T, H) -> logits (B, T, V)"""
        if self.bias is None:
            raise MissingRole("logits", "a bare recurrent module", self.roles)
        return nn.functional.linear(features, self.embedding, self.bias)

    def embedding_parameters(self) -> list[nn.Parameter]:
        """The embedding and what the tied decoder adds to it; none where they are not the model's own."""
        return [p for p in (self.embedding, self.bias) if isinstance(p, nn.Parameter)]

    def gates(self) -> int:
        """Nodes of one cell that multiply two signals."""
        return int(self.layers[0].gates)  # type: ignore[arg-type]

    def saliency_weights(self) -> list[nn.Parameter]:
        """The matrices of the cells."""
        return [w for layer in self.layers for w in layer.weights()]  # type: ignore[operator]


def from_torch(
    module: nn.RNNBase, *, vocabulary: int = 2_000, generator: torch.Generator | None = None
) -> RecurrentLM:
    """A bare `nn.RNN`, `nn.LSTM` or `nn.GRU` with an embedding in front, ready to be probed.

    The module's own weights are used as they are, and its mode stays as it is; the embedding is drawn as
    in `RecurrentLM`.
    """
    module = copy(module)  # the same weights, but a training flag of its own
    layers: list[nn.Module] = []
    for i in range(module.num_layers):
        ahead = TorchLayer(module, i)
        layers.append(BothWays(ahead, TorchLayer(module, i, reverse=True)) if module.bidirectional else ahead)
    model = RecurrentLM(
        layers, vocabulary=vocabulary, embedding=module.input_size, tied=False, generator=generator
    )
    model.to(next(module.parameters()))  # device and precision
    model.add_module("source", module)
    return model


def _uniform(shape: tuple[int, ...], hidden: int, generator: torch.Generator | None) -> nn.Parameter:
    bound = 1 / math.sqrt(hidden)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))
