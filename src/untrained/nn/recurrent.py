"""Recurrent language models: cells given as graphs, torch's own cells, and the model around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

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

    def forward(self, x: Tensor, tape: Tape | None = None, layer: int = 0) -> Tensor:
        """(T, B, inputs) -> (T, B, H), from the zero state."""
        steps, batch, _ = x.shape
        ahead = self._ahead(x)
        plan = self._plan()
        state = [x.new_zeros(batch, self.hidden) for _ in self.new]
        tap_hidden = tape is not None and tape.wants("hidden")
        tap_active = tape is not None and tape.wants("activation")
        outputs = []
        for t in range(steps):
            if tap_hidden:
                assert tape is not None
                tape.add("hidden", layer, state[0])
            made: list[Tensor] = []
            for i, (op, sources, weights, bias) in enumerate(plan):
                ins = [made[s] if isinstance(s, int) else state[int(s[7:])] for s in sources]
                if weights is None:
                    made.append(op(*ins))
                    continue
                value = ahead[i][t] if bias is None else torch.addmm(bias, ins.pop(0), weights[0])
                for source, weight in zip(ins, weights[len(weights) - len(ins) :], strict=True):
                    value = torch.addmm(value, source, weight)
                made.append(value)
            if tap_active:
                assert tape is not None
                tape.add("activation", layer, *(made[i] for i in self._active))
            state = [made[i] for i in self.new]
            outputs.append(state[0])
        return torch.stack(outputs)

    @property
    def gates(self) -> int:
        """Nodes that multiply two signals."""
        return sum(op in GATES for op, _ in self.nodes)

    @property
    def _active(self) -> list[int]:
        return [i for i, (op, _) in enumerate(self.nodes) if op in ACTIVATIONS]

    def _ahead(self, x: Tensor) -> dict[int, tuple[Tensor, ...]]:
        """Bias and share of the input of each linear node, for all steps in one matrix product a node."""
        flat = x.reshape(-1, x.shape[-1])
        made = {}
        for i, (op, sources) in enumerate(self.nodes):
            places = [j for j, s in enumerate(sources) if s == "x"]
            if op == "linear" and places:
                value = torch.addmm(self.biases[str(i)], flat, self.matrices[f"{i}_{places[0]}"])
                for j in places[1:]:
                    value = torch.addmm(value, flat, self.matrices[f"{i}_{j}"])
                made[i] = value.view(x.shape[0], x.shape[1], -1).unbind(0)
        return made

    def _plan(
        self,
    ) -> list[tuple[Callable[..., Tensor], list[str | int], list[Tensor] | None, Tensor | None]]:
        """The nodes ready to run: (function, inputs, their matrices, bias); linear ones without what
        `_ahead` has already done for x."""
        plan: list[tuple[Callable[..., Tensor], list[str | int], list[Tensor] | None, Tensor | None]] = []
        for i, (op, sources) in enumerate(self.nodes):
            inner = [(j, s) for j, s in enumerate(sources) if s != "x"]
            if op != "linear":
                plan.append((ELEMENTWISE[op], list(sources), None, None))
                continue
            weights = [self.matrices[f"{i}_{j}"] for j, _ in inner]
            bias = self.biases[str(i)] if len(inner) == len(sources) else None
            plan.append((torch.addmm, [s for _, s in inner], weights, bias))
        return plan

    def weights(self) -> list[nn.Parameter]:
        return list(self.matrices.values())


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

    def forward(self, x: Tensor, tape: Tape | None = None, layer: int = 0) -> Tensor:
        """(T, B, inputs) -> (T, B, H), from the zero state."""
        x = x.flip(0) if self.reverse else x
        into, back = self._weight("weight_ih"), self._weight("weight_hh")
        assert into is not None
        assert back is not None
        gates_x = nn.functional.linear(x, into, self._weight("bias_ih")).unbind(0)
        h, c = x.new_zeros(x.shape[1], self.hidden), x.new_zeros(x.shape[1], self.width)
        outputs = []
        for gate in gates_x:
            if tape is not None:
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

    roles = ("hidden", "activation", "block")
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

    def encode(self, embedded: Tensor, tape: Tape | None = None) -> Tensor:
        """(B, T, E) -> (B, T, H) of the last layer"""
        x = embedded.transpose(0, 1)
        for i, layer in enumerate(self.layers):
            x = layer(x, tape, i)
            if tape is not None:
                tape.add("block", i, x.transpose(0, 1))
        return x.transpose(0, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> logits (B, T, V); of a bare recurrent module the top states (B, T, H)"""
        top = self.encode(self.embed(tokens))
        return top if self.bias is None else nn.functional.linear(top, self.embedding, self.bias)

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

    The module's own weights are used as they are; the embedding is drawn as in `RecurrentLM`.
    """
    layers: list[nn.Module] = []
    for i in range(module.num_layers):
        ahead = TorchLayer(module, i)
        layers.append(BothWays(ahead, TorchLayer(module, i, reverse=True)) if module.bidirectional else ahead)
    model = RecurrentLM(
        layers, vocabulary=vocabulary, embedding=module.input_size, tied=False, generator=generator
    )
    model.add_module("source", module)
    return model


def _uniform(shape: tuple[int, ...], hidden: int, generator: torch.Generator | None) -> nn.Parameter:
    bound = 1 / math.sqrt(hidden)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))
