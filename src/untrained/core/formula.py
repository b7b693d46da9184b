"""Scores written as mathematics: expressions over what each layer of an untrained network shows.

An expression is a tree of `Node`s, and every node has a level: `matrix` (a grid of numbers in each layer),
`layer` (one number a layer), `net` (one number a network) or `const`. A score is of level `net`. Functions
of one number keep the level of what they are given; `mean`, `std`, `l1` and `frobenius` make a number of a
grid; the `layer_...` ones make a network's number of its layers'.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from untrained.core.errors import UsageError

Floats = NDArray[np.float64]

FORMAT, VERSION = "untrained-formula", 1
LEVELS = ("const", "net", "layer", "matrix")
MATRICES = ("act", "pre", "mix", "att", "hid", "block", "echo", "W", "G")
SCALARS = ("ln_N", "ln_L", "ln_d", "ln_r")
MAX_DEPTH, MAX_NODES = 8, 20
LARGEST = sys.float_info.max  # of a constant; JSON also has whole numbers that no float can hold
NUMBERS = 100  # numbers of layers that take the room of a grid

POINTWISE = ("log", "abslog", "abs", "square", "exp", "relu", "inverse", "sigmoid", "sqrt", "neg")
GRIDWISE = ("standardise", "minmax", "softmax", "logsoftmax")  # a grid of a grid
REDUCTIONS = ("mean", "std", "l1", "frobenius")  # a number of a grid
OVER_LAYERS = ("layer_mean", "layer_sum", "layer_first", "layer_last", "layer_max")
BINARY = ("add", "sub", "mul", "matmul")
UNARY = POINTWISE + GRIDWISE + REDUCTIONS + OVER_LAYERS

NEVER_NEGATIVE = {"abs", "square", "exp", "relu", "sigmoid", "sqrt", "minmax", "softmax", "std", "l1"}
NEVER_NEGATIVE |= {"frobenius"}
FROM_ZERO = {*SCALARS, "att", "echo"}  # inputs that are never negative: each logarithm is of 1 or more
LINEAR = {"mean", "layer_mean", "layer_sum", "layer_first", "layer_last"}  # f(c x) = c f(x)
EVEN = {"abs", "l1", "frobenius", "std"}  # f(c x) = |c| f(x)
KEEP_SIGN = {*LINEAR, "layer_max", "sqrt"}


@dataclass(frozen=True)
class Node:
    """An operation on other nodes, an `input` by name, or a `const`."""

    op: str
    args: tuple[Node, ...] = ()
    leaf: str | float = ""

    @cached_property
    def key(self) -> str:
        """Text that two nodes share exactly when they are the same tree."""
        if not self.args:
            return str(self.leaf)
        return f"{self.op}({','.join(a.key for a in self.args)})"

    @cached_property
    def depth(self) -> int:
        return 1 + max((a.depth for a in self.args), default=0)

    @cached_property
    def size(self) -> int:
        """Nodes, a subtree that occurs twice counted twice."""
        return 1 + sum(a.size for a in self.args)

    @cached_property
    def level(self) -> str:
        """`matrix`, `layer`, `net` or `const`; `wrong` where an operation cannot take what it is given."""
        if self.op == "const":
            return "const"
        if self.op == "input":
            return "net" if self.leaf in SCALARS else "matrix"
        given = [a.level for a in self.args]
        if "wrong" in given:
            return "wrong"
        if self.op in POINTWISE:
            return given[0]
        if self.op in GRIDWISE:
            return "matrix" if given == ["matrix"] else "wrong"
        if self.op in REDUCTIONS:
            return "layer" if given == ["matrix"] else "wrong"
        if self.op in OVER_LAYERS:
            return "net" if given == ["layer"] else "wrong"
        if self.op == "matmul":
            return "matrix" if given == ["matrix", "matrix"] else "wrong"
        return max(given, key=LEVELS.index)

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for a in self.args:
            yield from a.walk()

    @property
    def inputs(self) -> set[str]:
        return {str(n.leaf) for n in self.walk() if n.op == "input"}

    def __str__(self) -> str:
        return _written(self, 0)


def const(value: float) -> Node:
    """A number, rounded to 12 digits, so that the order of a sum cannot show."""
    rounded = float(f"{value:.12g}")
    return Node("const", leaf=rounded or 0.0)


def read(name: str) -> Node:
    """An input by name; raises UsageError for one that there is not."""
    if name not in MATRICES and name not in SCALARS:
        raise UsageError(f"a formula has no input {name!r}\n  there are: {', '.join((*MATRICES, *SCALARS))}")
    return Node("input", leaf=name)


def apply(op: str, *args: Node) -> Node:
    """An operation on nodes; raises UsageError for one that there is not or a wrong number of operands."""
    if op not in UNARY and op not in BINARY:
        raise UsageError(f"a formula has no operation {op!r}\n  there are: {', '.join((*UNARY, *BINARY))}")
    wanted = 1 if op in UNARY else 2
    if len(args) != wanted:
        raise UsageError(f"the operation {op!r} takes {wanted}, and is given {len(args)}")
    return Node(op, args)


# --- as text ---------------------------------------------------------------------------------------


def _written(node: Node, outside: int) -> str:
    """`outside` is how tightly what stands around binds: 0 nothing, 1 a sum, 2 a product or a function."""
    if node.op == "const":
        text = f"{node.leaf:.6g}"
        return f"({text})" if text.startswith("-") and outside else text
    if node.op == "input":
        name = str(node.leaf)
        return name.replace("_", " ", 1) if name in SCALARS else f"{name}_l"
    if node.op in ("add", "sub"):
        left, right = node.args
        sign = "+" if node.op == "add" else "-"
        text = f"{_written(left, 0)} {sign} {_written(right, 1 if node.op == 'sub' else 0)}"
        return f"({text})" if outside else text
    if node.op in ("mul", "matmul"):
        sign = " " if node.args[0].op == "const" else " * " if node.op == "mul" else " @ "
        text = sign.join(_written(a, 2) for a in node.args)
        return f"({text})" if outside > 1 else text
    inner = node.args[0]
    if node.op == "neg":
        text = f"-{_written(inner, 2)}"
        return f"({text})" if outside else text
    if node.op in ("square", "inverse"):
        power = "2" if node.op == "square" else "-1"
        body = _written(inner, 2)
        return (
            f"{body}^{power}"
            if inner.op == "input" and " " not in body
            else f"({_written(inner, 0)})^{power}"
        )
    if node.op in OVER_LAYERS:
        return f"{node.op.removeprefix('layer_')}_l({_written(inner, 0)})"
    name = {"log": "ln", "abslog": "ln_abs"}.get(node.op, node.op)
    return f"{name}({_written(inner, 0)})"


# --- canonical form --------------------------------------------------------------------------------


def canonical(node: Node) -> Node:
    """The same function in one of its spellings: sums and products sorted, constants folded, identities used.

    Trees that are equal by these rules alone become the same tree; others may still be equal by value.
    """
    if not node.args:
        return const(float(node.leaf)) if node.op == "const" else node
    args = tuple(canonical(a) for a in node.args)
    return _unary(node.op, args[0]) if len(args) == 1 else _binary(node.op, *args)


def _binary(op: str, a: Node, b: Node) -> Node:
    if op == "matmul":
        return _matmul(a, b)
    return _sum(Node(op, (a, b))) if op in ("add", "sub") else _product((a, b))


def _matmul(a: Node, b: Node) -> Node:
    (c, x), (k, y) = _scaled(a), _scaled(b)
    return _times(c * k, Node("matmul", (x, y)))


def _scaled(node: Node) -> tuple[float, Node]:
    """(c, x) with the node c x; a sum that is written as minus another has c = -1."""
    if node.op == "neg":
        c, x = _scaled(node.args[0])
        return -c, x
    if node.op == "mul" and node.args[0].op == "const":
        return float(node.args[0].leaf), node.args[1]
    return 1.0, node


def _is_scaled(node: Node) -> bool:
    return node.op == "neg" or (node.op == "mul" and node.args[0].op == "const")


def _times(c: float, node: Node) -> Node:
    """c times a canonical node."""
    return _sum(Node("mul", (const(c), node)))


def _sum(node: Node) -> Node:
    terms: dict[str, list[Any]] = {}
    constant = 0.0
    parts = [(1.0, node)]
    while parts:
        c, x = parts.pop()
        if x.op in ("add", "sub"):
            parts += [(c, x.args[0]), (c if x.op == "add" else -c, x.args[1])]
        elif x.op == "const":
            constant += c * float(x.leaf)
        elif _is_scaled(x):
            k, y = _scaled(x)
            parts.append((c * k, y))
        else:
            terms.setdefault(x.key, [x]).append(c)
    weighed = [(float(const(math.fsum(v[1:])).leaf), v[0]) for _, v in sorted(terms.items())]
    weighed = [(c, x) for c, x in weighed if c != 0]
    constant = float(const(constant).leaf)
    if not weighed:
        return const(constant)
    if len(weighed) == 1 and constant == 0:
        c, x = weighed[0]
        return x if c == 1 else Node("neg", (x,)) if c == -1 else Node("mul", (const(c), x))
    if constant == 0 and all(c < 0 for c, _ in weighed):
        return Node("neg", (_chain([(-c, x) for c, x in weighed], 0.0),))
    return _chain(weighed, constant)


def _chain(weighed: list[tuple[float, Node]], constant: float) -> Node:
    """Terms with a plus first, so that something stands before the first minus."""
    weighed = sorted(weighed, key=lambda term: term[0] < 0)
    built: Node | None = None
    if weighed[0][0] < 0:
        built, constant = const(constant), 0.0
    for c, x in weighed:
        term = x if abs(c) == 1 else Node("mul", (const(abs(c)), x))
        built = term if built is None else Node("add" if c > 0 else "sub", (built, term))
    assert built is not None, "a sum without terms is a constant"
    if constant:
        built = Node("add" if constant > 0 else "sub", (built, const(abs(constant))))
    return built


def _product(factors: tuple[Node, ...]) -> Node:
    c = 1.0
    powers: dict[str, list[Any]] = {}
    parts = [(f, 1) for f in factors]
    while parts:
        x, n = parts.pop()
        k, inner = _scaled(x)
        if x.op == "const":
            c *= float(x.leaf) ** n
        elif _is_scaled(x):
            c *= k**n
            parts.append((inner, n))
        elif x.op == "mul":
            parts += [(a, n) for a in x.args]
        elif x.op == "square":
            parts.append((x.args[0], 2 * n))
        else:
            powers.setdefault(x.key, [x, 0])[1] += n
    if any(x.op == "abs" and n % 2 == 0 for x, n in powers.values()):  # |x|^2 = x^2
        even = [(x.args[0] if x.op == "abs" and n % 2 == 0 else x, n) for x, n in powers.values()]
        return _product((const(c), *(p for x, n in even for p in _power(x, n))))
    if c == 0 or not math.isfinite(c):
        return const(0.0) if c == 0 else Node("inverse", (const(0.0),))
    built: Node | None = None
    for piece in sorted((p for x, n in powers.values() for p in _power(x, n)), key=lambda p: p.key):
        built = piece if built is None else Node("mul", (built, piece))
    if built is None:
        return const(c)
    return built if c == 1 else _times(c, built)


def _power(x: Node, n: int) -> list[Node]:
    """Factors whose product is x^n: one square for each binary digit."""
    pieces, square = [], x
    while n:
        if n % 2:
            pieces.append(square)
        square, n = Node("square", (square,)), n // 2
    return pieces


def _unary(op: str, x: Node) -> Node:
    if x.op == "const" and op in POINTWISE:
        with np.errstate(all="ignore"):
            folded = float(_POINTWISE[op](np.float64(x.leaf)))
        return const(folded) if math.isfinite(folded) else Node(op, (x,))
    if op == "neg":
        return _sum(Node("neg", (x,)))
    if op == "square":
        return _product((x, x))
    if x.level not in ("matrix", "wrong") and op in ("mean", "l1", "std"):
        return x if op == "mean" else const(0.0) if op == "std" else _unary("abs", x)
    if x.level in ("net", "const") and op in OVER_LAYERS and op != "layer_sum":
        return x
    c, inner = _scaled(x)
    if _is_scaled(x):
        if op in LINEAR:
            return _times(c, _unary(op, inner))
        if op in EVEN:
            return _times(abs(c), _unary(op, inner))
        if op == "standardise":
            return _times(math.copysign(1.0, c), _unary(op, inner))
        if op == "abslog" and c == -1:
            return _unary(op, inner)
    if x.op == "abs":
        if op in ("l1", "frobenius"):
            return _unary(op, x.args[0])
        if op in ("log", "abslog"):
            return _unary("abslog", x.args[0])
    if sign(x) > 0:
        if op in ("abs", "relu"):
            return x
        if op == "l1":
            return _unary("mean", x)
        if op == "abslog":
            return _unary("log", x)
    if op == x.op and op in ("standardise", "minmax", "logsoftmax"):
        return x
    if x.op == "logsoftmax" and op in ("exp", "softmax"):
        return Node("softmax", x.args)
    return Node(op, (x,))


def sign(node: Node) -> int:
    """1 where a node is never negative, -1 where it is never positive, else 0, as far as its shape tells."""
    if node.op == "const":
        return 1 if float(node.leaf) >= 0 else -1
    if node.op == "input":
        return 1 if node.leaf in FROM_ZERO else 0
    if node.op in NEVER_NEGATIVE:
        return 1
    if node.op == "logsoftmax":
        return -1
    if node.op in KEEP_SIGN:
        return sign(node.args[0])
    if node.op == "inverse":  # of -1e-10 it is positive, as 1e-9 is added
        return max(sign(node.args[0]), 0)
    if node.op == "neg":
        return -sign(node.args[0])
    signs = [sign(a) for a in node.args]
    if node.op in ("mul", "matmul"):
        return signs[0] * signs[1]
    if node.op in ("add", "sub"):
        other = signs[1] if node.op == "add" else -signs[1]
        return signs[0] if signs[0] == other else 0
    return 0


# --- what is not worth measuring -------------------------------------------------------------------


def fault(node: Node, *, max_depth: int = MAX_DEPTH, max_nodes: int = MAX_NODES) -> str | None:
    """Why a canonical expression cannot be a score, or says the same of every network; None where it may be.

    Told from the tree alone, before anything is measured.
    """
    if node.level != "net":
        why = next(
            (n for n in node.walk() if n.level == "wrong" and all(a.level != "wrong" for a in n.args)), None
        )
        if why is not None:
            return f"{why.op} cannot be taken of {' and '.join(a.level for a in why.args)}"
        return f"it is of level {node.level}, and a score is one number a network"
    if node.depth > max_depth:
        return f"it is {node.depth} levels deep, more than {max_depth}"
    if node.size > max_nodes:
        return f"it has {node.size} nodes, more than {max_nodes}"
    return next(filter(None, map(_degenerate, node.walk())), None)


def _degenerate(node: Node) -> str | None:
    op, x = node.op, node.args[0] if node.args else node
    if op == "input":
        return None
    if op == "const":
        return None if math.isfinite(float(node.leaf)) else "a constant is not finite"
    if all(a.op == "const" for a in node.args):
        return f"{node} is a constant that cannot be worked out" if op == "inverse" else f"{node} is constant"
    inside = {"softmax": "1 a column", "standardise": "mean 0 and spread 1"}
    if op in ("mean", "l1") and x.op == "softmax":
        return "the mean of a softmax is the same for every network"
    if x.op == "standardise" and op in ("mean", "std", "frobenius"):
        return f"a standardised grid has {inside['standardise']} in every network"
    if op == "mean" and x.op == "square" and x.args[0].op == "standardise":
        return f"a standardised grid has {inside['standardise']} in every network"
    if op in GRIDWISE and x.op in ("softmax", "logsoftmax", "standardise") and op == x.op:
        return f"{op} is taken twice"
    if op in ("log", "sqrt", "relu") and sign(x) < 0:
        return f"{op} of what is never positive is 0 in every network"
    if op == "exp" and x.op in ("exp", "square") and x.args[0].op in ("exp", "square"):
        return "towers of exponentials have no finite values"
    if op == "exp" and x.op == "exp":
        return "towers of exponentials have no finite values"
    if op == "mul" and any(a.op == "inverse" and a.args[0] == b for a, b in (node.args, node.args[::-1])):
        return "a number times its inverse is 1"
    return None


# --- values ----------------------------------------------------------------------------------------


def _flat(x: Floats) -> Floats:
    return x.reshape(len(x), -1)


def _standardise(x: Floats) -> Floats:
    centred = x - x.mean((1, 2), keepdims=True)
    spread = np.sqrt((centred * centred).mean((1, 2), keepdims=True))
    found: Floats = np.divide(centred, spread, out=np.zeros_like(x), where=spread > 0)
    return found


def _minmax(x: Floats) -> Floats:
    low, high = x.min((1, 2), keepdims=True), x.max((1, 2), keepdims=True)
    found: Floats = np.divide(x - low, high - low, out=np.zeros_like(x), where=high > low)
    return found


def _logsoftmax(x: Floats) -> Floats:
    down = x - x.max(1, keepdims=True)
    found: Floats = down - np.log(np.exp(down).sum(1, keepdims=True))
    return found


def _log(x: Any, where: Any) -> Any:
    return np.log(np.where(where, x, np.ones_like(x)))


def _number(values: Floats) -> Floats:
    return values[:, None, None]


_POINTWISE: dict[str, Callable[[Any], Any]] = {
    "log": lambda x: _log(x, x > 0),
    "abslog": lambda x: _log(np.abs(x), x != 0),
    "abs": np.abs,
    "square": np.square,
    "exp": np.exp,
    "relu": lambda x: np.maximum(x, 0.0),
    "inverse": lambda x: 1.0 / (x + 1e-9),
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "sqrt": lambda x: np.sqrt(np.maximum(x, 0.0)),
    "neg": np.negative,
}
_GRIDS: dict[str, Callable[[Floats], Floats]] = {
    "standardise": _standardise,
    "minmax": _minmax,
    "softmax": lambda x: np.exp(_logsoftmax(x)),
    "logsoftmax": _logsoftmax,
    "mean": lambda x: _number(_flat(x).mean(1, dtype=np.float64)),
    "std": lambda x: _number(_flat(x - x.mean((1, 2), keepdims=True)).std(1, dtype=np.float64)),
    "l1": lambda x: _number(np.abs(_flat(x)).mean(1, dtype=np.float64)),
    "frobenius": lambda x: _number(np.sqrt(np.square(_flat(x)).sum(1, dtype=np.float64))),
}
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "matmul": np.matmul,
}


@dataclass
class Sheet:
    """What some networks show, laid end to end, so that one operation serves all of them.

    The layers of network i are `first[i]` to `first[i + 1]`.
    """

    matrices: Mapping[str, Floats]
    """name -> (layers of all networks, rows, columns)"""
    scalars: Mapping[str, Floats]
    """name -> (networks,)"""
    first: NDArray[np.intp]
    """(networks + 1,)"""
    room: int = 0
    """grids of parts of formulas that are kept, for other formulas with the same part"""
    _kept: dict[bool, dict[str, Any]] = field(default_factory=lambda: {True: {}, False: {}})

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*self.matrices, *self.scalars)

    @cached_property
    def _owner(self) -> NDArray[np.intp]:
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))

    def value(self, node: Node) -> Floats:
        """(networks,) for a node of level `net`; what is not finite stays so. UsageError: no such input."""
        if node.level != "net":
            raise UsageError(f"{node} is of level {node.level}, and a score is one number a network")
        with np.errstate(all="ignore"):
            found: Floats = np.asarray(self._value(node), dtype=np.float64)
        return found

    def _value(self, node: Node) -> Any:
        if node.op == "const":
            return float(node.leaf)  # of no type of its own, so that single precision stays
        if node.op == "input":
            where = self.scalars if node.level == "net" else self.matrices
            if node.leaf not in where:
                raise UsageError(f"the formula reads {node.leaf!r}, which is not there")
            return where[str(node.leaf)]
        kept = self._kept[node.level == "matrix"]
        if node.key in kept:
            kept[node.key] = kept.pop(node.key)  # now the last that will be let go
            return kept[node.key]
        values = [self._value(a) for a in node.args]
        if node.op in POINTWISE:
            found = _POINTWISE[node.op](values[0])
        elif node.op in OVER_LAYERS:
            found = self._over_layers(node.op, values[0].reshape(-1))
        elif node.op in BINARY:
            found = _BINARY[node.op](
                *(self._spread(v, a, node) for v, a in zip(values, node.args, strict=True))
            )
        else:
            found = _GRIDS[node.op](values[0])
        self._keep(node, found)
        return found

    def _spread(self, value: Any, of: Node, onto: Node) -> Any:
        """A network's number for each of its layers, where the other operand has layers."""
        below = of.level == "net" and onto.level in ("layer", "matrix")
        return value[self._owner][:, None, None] if below else value

    def _over_layers(self, op: str, x: Floats) -> Floats:
        starts, ends = self.first[:-1], self.first[1:]
        if op == "layer_first":
            return x[starts]
        if op == "layer_last":
            return x[ends - 1]
        if op == "layer_max":
            return np.asarray(np.maximum.reduceat(x, starts))
        total = np.asarray(np.add.reduceat(x, starts))
        return total if op == "layer_sum" else total / (ends - starts)

    def _keep(self, node: Node, value: Any) -> None:
        kept = self._kept[node.level == "matrix"]
        kept[node.key] = value
        if len(kept) > self.room * (1 if node.level == "matrix" else NUMBERS):
            del kept[next(iter(kept))]


# --- as a file -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Formula:
    """A score as an expression: higher is better."""

    node: Node
    found: Mapping[str, Any] = field(default_factory=dict)
    """where it comes from: seed, benchmarks, agreement"""

    def to_json(self) -> str:
        """A JSON object: nodes in order, each an operation and the numbers of the nodes it works on."""
        packed = pack(self.node)
        body = {"format": FORMAT, "version": VERSION, "text": str(self.node), "output": packed["output"]}
        lines = [f' "{k}": {json.dumps(v)}' for k, v in body.items()]
        nodes = ",\n".join(f"  {json.dumps(n)}" for n in packed["nodes"])
        lines += [f' "nodes": [\n{nodes}\n ]', f' "found": {json.dumps(dict(self.found))}']
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def load(cls, path: str | Path) -> Formula:
        """The formula of a file; raises UsageError for what is none, of another version, or wrong."""
        try:
            text = Path(path).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            said = getattr(error, "strerror", None) or "not UTF-8 text"
            raise UsageError(f"the formula {path} cannot be read: {said}") from None
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):  # a number of 5,000 digits is a ValueError too
            raise UsageError(f"the formula {path} is not JSON") from None
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise UsageError(f"{path} is not a formula\n  make one: untrained discover BENCHMARK -o {path}")
        if body.get("version") != VERSION:
            raise UsageError(
                f"the formula {path} is of version {body.get('version')!r}; this release reads {VERSION}"
            )
        try:
            node = unpack(body)
        except UsageError as error:
            raise UsageError(f"the formula {path} is wrong: {error}") from None
        found = body.get("found")
        return cls(node, found if isinstance(found, dict) else {})


def pack(node: Node) -> dict[str, Any]:
    """`nodes` and `output`, as a file has them; a subtree that occurs twice is there once."""
    places: dict[str, int] = {}
    nodes: list[list[Any]] = []

    def place(n: Node) -> int:
        if n.key not in places:
            body = [place(a) for a in n.args] if n.args else [n.leaf]
            nodes.append([n.op, *body])
            places[n.key] = len(nodes) - 1
        return places[n.key]

    return {"output": place(node), "nodes": nodes}


def unpack(body: Mapping[str, Any]) -> Node:
    """The expression of `nodes` and `output`; UsageError for an unknown operation, a cycle, a wrong level."""
    nodes, output = body.get("nodes"), body.get("output")
    if not isinstance(nodes, list) or len(nodes) > 1_000:
        raise UsageError("`nodes` must be a list of 1,000 nodes or fewer")
    made: dict[int, Node] = {}
    open_: set[int] = set()

    def make(i: Any) -> Node:
        if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < len(nodes):
            raise UsageError(f"there is no node {i!r}")
        if i in open_:
            raise UsageError(f"node {i} is part of itself: a cycle")
        if i in made:
            return made[i]
        item = nodes[i]
        if not isinstance(item, list) or not item or not isinstance(item[0], str):
            raise UsageError(f"node {i} is not a list that begins with an operation")
        if len(open_) > 50:
            raise UsageError("it is more than 50 levels deep")
        open_.add(i)
        op, *rest = item
        if op == "const":
            made[i] = _constant(rest)
        elif op == "input":
            made[i] = read(rest[0] if len(rest) == 1 and isinstance(rest[0], str) else str(rest))
        else:
            made[i] = apply(op, *(make(j) for j in rest))
        open_.discard(i)
        if made[i].size > 1_000:
            raise UsageError("it has more than 1,000 nodes once written out")
        return made[i]

    node = make(output)
    if why := fault(node, max_depth=50, max_nodes=1_000):
        raise UsageError(why)
    return node


def _constant(rest: list[Any]) -> Node:
    if len(rest) != 1 or isinstance(rest[0], bool) or not isinstance(rest[0], int | float):
        raise UsageError(f"a constant is one number, not {rest}")
    if not abs(rest[0]) < math.inf or abs(rest[0]) > LARGEST:
        raise UsageError(f"the constant {str(rest[0])[:20]} is not finite")
    return const(rest[0])
