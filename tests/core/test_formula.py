"""The algebra of formulas: by hand, against loops, and as files."""

import json
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrained.apps._breeding import crossed, grown, mutated
from untrained.core.errors import UsageError
from untrained.core.formula import (
    GRIDWISE,
    MATRICES,
    OVER_LAYERS,
    POINTWISE,
    REDUCTIONS,
    SCALARS,
    Formula,
    Node,
    Sheet,
    apply,
    canonical,
    const,
    fault,
    read,
    unpack,
)

ACT, N = read("act"), read("ln_N")
INPUTS = ("act", "W", "ln_N", "ln_L")


def f(op, *args):
    return apply(op, *(const(a) if isinstance(a, float | int) else a for a in args))


def net(matrix):
    return f("layer_mean", f("mean", matrix))


def sheet(size=3, layers=(2, 3), seed=0, room=0):
    rng = np.random.default_rng(seed)
    total = sum(layers)
    matrices = {n: rng.uniform(-1.5, 1.5, (total, size, size)) for n in ("act", "W")}
    scalars = {n: rng.uniform(0.5, 2.0, len(layers)) for n in ("ln_N", "ln_L")}
    return Sheet(matrices, scalars, np.concatenate([[0], np.cumsum(layers)]), room=room)


# --- values ------------------------------------------------------------------------------------


def test_a_formula_worked_by_hand():
    grids = np.array([[[1.0, 2.0], [3.0, -4.0]], [[0.0, 1.0], [0.0, -1.0]]])
    two = Sheet({"act": grids}, {"ln_N": np.array([10.0])}, np.array([0, 2]))
    squares = f("add", net(f("square", ACT)), f("mul", 0.3, N))
    assert two.value(squares) == pytest.approx([(30 / 4 + 2 / 4) / 2 + 3])
    assert str(squares) == "mean_l(mean(act_l^2)) + 0.3 ln N"
    assert two.value(f("layer_max", f("l1", ACT))) == pytest.approx([2.5])
    assert two.value(f("layer_sum", f("frobenius", ACT))) == pytest.approx([math.sqrt(30) + math.sqrt(2)])
    assert two.value(f("layer_first", f("std", ACT))) == pytest.approx([math.sqrt(30 / 4 - 0.25)])
    assert two.value(f("layer_last", f("mean", f("matmul", ACT, ACT)))) == pytest.approx([-1 / 4 + 1 / 4])


def by_loops(node, grids, scalars):
    """The value of a formula for one network, number by number; `grids` has one dict a layer."""

    def over(kind, n, layer=None):
        return [by_layer(n, i) for i in range(len(grids))] if kind == "layers" else by_layer(n, layer)

    def pointwise(op, x):
        if op in ("log", "abslog"):
            x = abs(x) if op == "abslog" else x
            return math.log(x) if x > 0 else 0.0
        if op == "inverse":
            return 1 / (x + 1e-9)
        if op == "sigmoid":
            return 1 / (1 + math.exp(-x))
        if op == "sqrt":
            return math.sqrt(x) if x > 0 else 0.0
        return (
            {"abs": abs(x), "square": x * x, "relu": max(x, 0.0), "neg": -x}[op]
            if op != "exp"
            else math.exp(x)
        )

    def cells(x):
        return [v for row in x for v in row]

    def mapped(function, *xs):
        if any(isinstance(x, list) for x in xs):
            n = len(next(x for x in xs if isinstance(x, list)))
            at = [[[x[i][j] if isinstance(x, list) else x for x in xs] for j in range(n)] for i in range(n)]
            return [[function(*v) for v in row] for row in at]
        return function(*xs)

    def by_layer(n, i):
        if n.op == "const":
            return n.leaf
        if n.op == "input":
            return scalars[n.leaf] if n.leaf in SCALARS else grids[i][n.leaf]
        if n.op in OVER_LAYERS:
            values = over("layers", n.args[0])
            how = n.op.removeprefix("layer_")
            return {
                "mean": sum(values) / len(values),
                "sum": sum(values),
                "first": values[0],
                "last": values[-1],
                "max": max(values),
            }[how]
        xs = [over("one", a, i) for a in n.args]
        if n.op in POINTWISE:
            return mapped(lambda v: pointwise(n.op, v), xs[0])
        if n.op in ("add", "sub", "mul"):
            return mapped(lambda a, b: {"add": a + b, "sub": a - b, "mul": a * b}[n.op], *xs)
        x, size = xs[0], len(xs[0])
        if n.op == "matmul":
            return [
                [sum(x[r][k] * xs[1][k][c] for k in range(size)) for c in range(size)] for r in range(size)
            ]
        all_ = cells(x)
        mean = sum(all_) / len(all_)
        spread = math.sqrt(sum((v - mean) ** 2 for v in all_) / len(all_))
        if n.op in REDUCTIONS:
            return {
                "mean": mean,
                "std": spread,
                "l1": sum(map(abs, all_)) / len(all_),
                "frobenius": math.sqrt(sum(v * v for v in all_)),
            }[n.op]
        if n.op == "standardise":
            return mapped(lambda v: (v - mean) / spread if spread else 0.0, x)
        if n.op == "minmax":
            low, high = min(all_), max(all_)
            return mapped(lambda v: (v - low) / (high - low) if high > low else 0.0, x)
        columns = [sum(math.exp(x[r][c]) for r in range(size)) for c in range(size)]
        soft = [[math.exp(x[r][c]) / columns[c] for c in range(size)] for r in range(size)]
        return soft if n.op == "softmax" else mapped(math.log, soft)

    return by_layer(node, 0)


def in_loops(whole, node, i):
    layers = range(whole.first[i], whole.first[i + 1])
    grids = [{k: v[j].tolist() for k, v in whole.matrices.items()} for j in layers]
    return by_loops(node, grids, {k: float(v[i]) for k, v in whole.scalars.items()})


OPS = [*POINTWISE, *GRIDWISE]


@pytest.mark.parametrize("op", OPS)
def test_every_operation_on_grids_against_loops(op):
    whole = sheet()
    node = f("layer_sum", f("l1", f("matmul", f(op, ACT), read("W"))))
    assert whole.value(node) == pytest.approx([in_loops(whole, node, i) for i in range(2)], rel=1e-9)


@given(st.integers(0, 10**9))
def test_random_formulas_against_loops(seed):
    whole, node = sheet(), grown("net", INPUTS, Random(seed))
    found = whole.value(node)
    try:
        wanted = [in_loops(whole, node, i) for i in range(2)]
    except (OverflowError, ZeroDivisionError, ValueError):
        return
    if np.isfinite(found).all() and max(map(abs, wanted)) < 1e6:
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-7)


@given(st.integers(0, 10**9))
def test_values_do_not_depend_on_what_was_kept_or_who_stands_beside(seed):
    node = grown("net", INPUTS, Random(seed))
    plain, keeping = sheet(), sheet(room=1)
    keeping.value(node)
    assert np.array_equal(plain.value(node), keeping.value(node), equal_nan=True)
    alone = Sheet(
        {k: v[2:] for k, v in plain.matrices.items()},
        {k: v[1:] for k, v in plain.scalars.items()},
        np.array([0, 3]),
    )
    assert np.allclose(alone.value(node), plain.value(node)[1:], rtol=1e-9, equal_nan=True)


# --- canonical form ----------------------------------------------------------------------------

X, Y = f("layer_mean", f("mean", ACT)), f("layer_max", f("std", read("W")))
EQUAL = [
    (f("add", X, Y), f("add", Y, X)),
    (f("mul", f("mul", X, Y), N), f("mul", N, f("mul", Y, X))),
    (f("sub", f("add", X, Y), Y), X),
    (f("sub", X, X), const(0)),
    (f("add", X, X), f("mul", 2, X)),
    (f("mul", X, X), f("square", X)),
    (f("mul", 0.5, f("add", X, f("mul", 2, Y))), f("add", Y, f("mul", X, 0.5))),
    (f("neg", f("neg", X)), X),
    (f("sub", f("neg", X), Y), f("neg", f("add", Y, X))),
    (f("add", f("add", X, 1), 2), f("add", 3, X)),
    (f("mul", X, 0), const(0)),
    (f("mul", 1, X), X),
    (f("square", f("neg", X)), f("square", f("abs", X))),
    (f("square", f("abs", f("mul", X, Y))), f("mul", f("square", Y), f("square", X))),
    (f("abs", f("abs", X)), f("abs", f("neg", X))),
    (f("relu", f("square", X)), f("abs", f("square", X))),
    (f("log", f("abs", X)), f("abslog", f("neg", X))),
    (net(f("neg", ACT)), f("neg", net(ACT))),
    (net(f("mul", 3, ACT)), f("mul", net(ACT), 3)),
    (net(f("square", ACT)), f("layer_mean", f("l1", f("mul", ACT, ACT)))),
    (f("layer_max", f("l1", f("neg", ACT))), f("layer_max", f("l1", f("abs", ACT)))),
    (
        f("layer_max", f("l1", f("standardise", f("standardise", ACT)))),
        f("layer_max", f("l1", f("standardise", f("mul", 7, ACT)))),
    ),
    (f("exp", 0), const(1)),
    (f("relu", f("abs", N)), N),
]


@pytest.mark.parametrize(("one", "other"), EQUAL, ids=lambda n: str(n))
def test_spellings_of_one_function_have_one_form(one, other):
    assert canonical(one) == canonical(other)


def test_different_functions_keep_different_forms():
    assert canonical(f("sub", X, Y)) != canonical(f("sub", Y, X))
    assert canonical(f("matmul", ACT, read("W"))) != canonical(f("matmul", read("W"), ACT))
    assert canonical(f("abs", X)) != canonical(X)


@given(st.integers(0, 10**9))
def test_the_canonical_form_has_the_same_values_and_is_its_own_form(seed):
    whole, node = sheet(), grown("net", INPUTS, Random(seed))
    form = canonical(node)
    assert canonical(form) == form
    if fault(form, max_depth=99, max_nodes=999):  # such as the mean of a standardised grid: rounding alone
        return
    assert form.level == "net"
    before, after = whole.value(node), whole.value(form)
    if np.isfinite(before).all() and np.abs(before).max() < 1e5:
        assert after == pytest.approx(before, rel=1e-4, abs=1e-6)


@given(st.integers(0, 10**9))
def test_turning_operands_round_changes_no_form(seed):
    def turned(n):
        args = tuple(map(turned, n.args))
        return Node(n.op, args[::-1] if n.op in ("add", "mul") else args, n.leaf)

    node = grown("net", INPUTS, Random(seed))
    assert canonical(turned(node)) == canonical(node)


# --- what is let go ----------------------------------------------------------------------------

DEGENERATE = {
    "a grid is no score": ACT,
    "a layer is no score": f("mean", ACT),
    "no input": f("exp", f("inverse", 0)),
    "softmax of a number": f("softmax", X),
    "log-softmax of a number a layer": f("layer_mean", f("logsoftmax", f("frobenius", ACT))),
    "mean of a softmax": net(f("softmax", ACT)),
    "mean of a standardised grid": net(f("standardise", ACT)),
    "its spread": f("layer_mean", f("std", f("standardise", ACT))),
    "its square": net(f("square", f("standardise", ACT))),
    "standardised twice": f("layer_mean", f("l1", f("standardise", f("standardise", ACT)))),
    "log of what is negative": net(f("log", f("logsoftmax", ACT))),
    "root of what is negative": net(f("sqrt", f("neg", f("square", ACT)))),
    "inverse of zero": f("mul", X, f("inverse", 0)),
    "exponential of an exponential": net(f("exp", f("exp", ACT))),
    "a number by its inverse": f("mul", X, f("inverse", X)),
    "a mean over networks": f("layer_mean", N),
    "a constant": const(1),
}


@pytest.mark.parametrize("node", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_formulas_are_let_go(node):
    assert fault(node)


def test_what_is_cut_short_is_let_go_too():
    assert fault(canonical(f("sub", X, X)))
    deep = ACT
    for _ in range(9):
        deep = f("sigmoid", deep)
    assert "deep" in str(fault(net(deep)))
    wide = X
    for i in range(12):
        wide = f("add", wide, f("layer_max", f(REDUCTIONS[i % 4], read(MATRICES[i // 4]))))
    assert "nodes" in str(fault(wide, max_depth=99))


@pytest.mark.parametrize(
    "node", [X, Y, f("add", X, f("mul", 0.3, N)), net(f("inverse", f("exp", ACT)))], ids=str
)
def test_good_formulas_stay(node):
    assert fault(node) is None


@given(st.integers(0, 10**9))
def test_children_are_of_the_right_level(seed):
    rng = Random(seed)
    mother, father = grown("net", INPUTS, rng), grown("net", INPUTS, rng)
    for child in (crossed(mother, father, rng), mutated(mother, INPUTS, rng)):
        assert child.level == "net"
        assert child.inputs <= set(INPUTS)


# --- files -------------------------------------------------------------------------------------


@given(st.integers(0, 10**9))
def test_a_file_gives_the_formula_back(seed):
    node = canonical(grown("net", INPUTS, Random(seed)))
    if fault(node) is None:
        body = json.loads(Formula(node, {"seed": 1}).to_json())
        assert unpack(body) == node
        assert body["text"] == str(node)


def test_parts_that_occur_twice_are_written_once():
    body = json.loads(Formula(f("add", f("square", X), X)).to_json())
    assert [n[0] for n in body["nodes"]].count("layer_mean") == 1


GOOD = {"format": "untrained-formula", "version": 1, "output": 2}
NODES = [["input", "act"], ["mean", 0], ["layer_mean", 1]]
BAD = {
    "no formula": ({"nodes": NODES}, "is not a formula"),
    "another version": ({**GOOD, "version": 2, "nodes": NODES}, "version 2"),
    "an unknown operation": ({**GOOD, "nodes": [NODES[0], ["median", 0], NODES[2]]}, "no operation 'median'"),
    "an unknown input": ({**GOOD, "nodes": [["input", "loss"], *NODES[1:]]}, "no input 'loss'"),
    "a cycle": ({**GOOD, "nodes": [["abs", 1], ["mean", 0], NODES[2]]}, "cycle"),
    "itself": ({**GOOD, "nodes": [*NODES[:2], ["layer_mean", 2]]}, "cycle"),
    "a node that is not there": ({**GOOD, "nodes": [*NODES[:2], ["layer_mean", 7]]}, "no node 7"),
    "too many operands": ({**GOOD, "nodes": [*NODES[:2], ["layer_mean", 1, 1]]}, "takes 1"),
    "no number": ({**GOOD, "nodes": [["const", "x"], *NODES[1:]]}, "one number"),
    "a number too large": ({**GOOD, "nodes": [["const", 10**400], *NODES[1:]]}, "not finite"),
    "infinity": ({**GOOD, "nodes": [["const", -math.inf], *NODES[1:]]}, "not finite"),
    "too deep": (
        {**GOOD, "output": 60, "nodes": [["input", "ln_N"], *(["exp", i] for i in range(60))]},
        "50 lev",
    ),
    "no version": ({"format": "untrained-formula", "output": 2, "nodes": NODES}, "version None"),
    "an operation that is a list": (
        {**GOOD, "nodes": [NODES[0], [["mean"], 0], NODES[2]]},
        "not a list that",
    ),
    "an operand that is a list": ({**GOOD, "nodes": [NODES[0], ["mean", [0]], NODES[2]]}, "no node"),
    "NaN": ({**GOOD, "nodes": [["const", math.nan], *NODES[1:]]}, "not finite"),
    "no nodes": ({**GOOD, "nodes": {}}, "list"),
    "no list": ({**GOOD, "nodes": [7, 7, 7]}, "not a list"),
    "a wrong level": ({**GOOD, "output": 1, "nodes": NODES}, "level layer"),
    "softmax of numbers": ({**GOOD, "nodes": [*NODES[:2], ["softmax", 1]]}, "cannot be taken"),
    "an output that is text": ({**GOOD, "output": "2", "nodes": NODES}, "no node '2'"),
}


@pytest.mark.parametrize(("body", "said"), BAD.values(), ids=BAD)
def test_bad_files_are_told(tmp_path, body, said):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(body))
    with pytest.raises(UsageError, match=said):
        Formula.load(path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff", "[" * 100_000, "1" * 5_000])
def test_what_is_not_json_is_told(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"bad\.json"):
        Formula.load(path)


def test_a_bomb_of_shared_nodes_is_told():
    nodes = [["input", "ln_N"], *(["add", i, i] for i in range(45))]
    with pytest.raises(UsageError, match="nodes"):
        unpack({"nodes": nodes, "output": 45})


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        Formula.load(tmp_path / "none.json")
