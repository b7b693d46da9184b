"""The constraint language of `--where "params <= 8e6 and latency < 20"`.

Numbers, names (`hidden_covariance.layer2` too), `+ - * / **`, comparisons (also chained), `and or not`,
parentheses. The text is parsed, never executed: Python's parser makes the tree, and what is not on the
list below is refused with its column. All arithmetic is done on floats, so that `9**9**9` is an overflow
and not a number of 370 million digits.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from untrained.core.errors import UnknownName, UsageError

LONGEST = 1_000  # characters of a constraint
DEEPEST = 40  # levels of nesting; Python's own stack ends near a thousand
SHOWN = 90  # characters of the text that an error message shows
LEAST = 1e-12  # violation of `a < b` where a equals b

Values = Mapping[str, float]
_Number = Callable[[Values], float]
_Truth = Callable[[Values], bool]

_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,  # raises where `**` would give a complex number
}
_COMPARE: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
# What people type from other languages; '#' because Python would take the rest for a comment, silently.
_FOREIGN = re.compile(r"&+|\|+|#|;|(?<![<>=!])=(?!=)")
_MEANT = {"&": "and", "|": "or", "=": "=="}
_ALLOWED = "numbers, names, + - * / **, comparisons, and, or, not, parentheses"


@dataclass(frozen=True)
class Clause:
    """One of the conditions that are joined by the outermost `and`."""

    text: str
    names: tuple[str, ...]
    test: _Truth = field(repr=False, compare=False)  # says the same as the text
    gap: _Number = field(repr=False, compare=False)  # how far from true, where that can be said

    def holds(self, values: Values) -> bool:
        """False also where it cannot be computed: a name without a value, 1 / 0, an overflow."""
        try:
            return self.test(values)
        except (KeyError, ArithmeticError, ValueError, TypeError):
            return False

    def violation(self, values: Values) -> float:
        """0 where it holds, else how far from true, above 0 to 2 a comparison.

        A comparison of a and b is |a - b| / max(|a|, |b|) away, `and` the sum and `or` the least of its
        parts, `not` and what cannot be computed 1.
        """
        if self.holds(values):
            return 0.0
        try:
            return max(self.gap(values), LEAST)
        except (KeyError, ArithmeticError, ValueError, TypeError):
            return 1.0


@dataclass(frozen=True)
class Where:
    """A constraint on the numbers of one architecture; without clauses, everything holds."""

    text: str = ""
    clauses: tuple[Clause, ...] = ()

    @classmethod
    def parse(cls, text: str, *, known: Collection[str] | None = None) -> Where:
        """Reads a constraint; empty text is none.

        `known` are the names that have numbers: metrics and numeric choices. A dotted name is known by
        its first part. Raises UsageError with the column, or UnknownName with the nearest names.
        """
        text = " ".join(text.split())
        if not text:
            return cls()
        reader = _Reader(text, None if known is None else sorted(known))
        clauses = tuple(reader.clauses())
        reader.check_bounds()
        return cls(text, clauses)

    @property
    def names(self) -> tuple[str, ...]:
        """What it refers to, each once, in the order of the text."""
        return tuple(dict.fromkeys(name for clause in self.clauses for name in clause.names))

    def holds(self, values: Values) -> bool:
        return all(clause.holds(values) for clause in self.clauses)

    def broken(self, values: Values) -> list[str]:
        """The clauses that do not hold, as they were typed; one that cannot be computed is among them."""
        return [clause.text for clause in self.clauses if not clause.holds(values)]


class _Reader:
    """Turns the tree of one text into functions, refusing what is not in the language."""

    def __init__(self, text: str, known: list[str] | None) -> None:
        self.text, self.known = text, known
        self.found: list[str] = []
        self.bounds: dict[str, list[_Bound]] = {}

    def clauses(self) -> list[Clause]:
        made = []
        for node in self._conjuncts(self._tree(), 0):
            self.found = []
            test = self._truth(node, 0)
            names = tuple(dict.fromkeys(self.found))
            made.append(Clause(self._source(node), names, test, self._gap(node)))
            if isinstance(node, ast.Compare):
                self._note_bounds(node)
        return made

    def check_bounds(self) -> None:
        """Raises UsageError where two bounds on one name leave no number between them."""
        for name, bounds in self.bounds.items():
            low = max((b for b in bounds if b.below), key=lambda b: (b.value, b.strict), default=None)
            high = min(
                (b for b in bounds if not b.below), key=lambda b: (b.value, not b.strict), default=None
            )
            if low is None or high is None:
                continue
            if low.value > high.value or (low.value == high.value and (low.strict or high.strict)):
                both = " and ".join(dict.fromkeys([low.clause, high.clause]))
                raise UsageError(
                    f"--where contradicts itself: no {name} satisfies {both}.\n  loosen one of the two"
                )

    def _note_bounds(self, node: ast.Compare) -> None:
        """Remembers what a comparison of a name with a number says about the name."""
        terms = [node.left, *node.comparators]
        for left, op, right in zip(terms, node.ops, terms[1:], strict=False):
            for name, other, reading in ((left, right, _READ), (right, left, _MIRRORED)):
                number = _constant(other)
                if isinstance(name, ast.Name | ast.Attribute) and number is not None:
                    self.bounds.setdefault(self._source(name), []).extend(
                        _Bound(number, below, strict, self._source(node))
                        for below, strict in reading.get(type(op), ())
                    )

    def _tree(self) -> ast.expr:
        if len(self.text) > LONGEST:
            raise UsageError(
                f"--where is {len(self.text):,} characters long, and {LONGEST:,} are read.\n"
                "  shorten it, or leave conditions out and filter the report"
            )
        if found := _FOREIGN.search(self.text):
            meant = _MEANT.get(found[0][0])
            hint = f"; write {meant!r}" if meant else ""
            raise self._error(f"{found[0]!r} means nothing here{hint}", found.start())
        try:
            # As an error, Python's warning on `8e6and x` is one more syntax error, with its column.
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            raise self._error(error.msg, (error.offset or 1) - 1) from None
        except (ValueError, MemoryError, RecursionError) as error:
            raise self._error(f"cannot be read ({type(error).__name__})", 0) from None

    def _conjuncts(self, node: ast.expr, depth: int) -> list[ast.expr]:
        if not (isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And)):
            return [node]
        self._shallow(node, depth)
        return [part for value in node.values for part in self._conjuncts(value, depth + 1)]

    def _truth(self, node: ast.expr, depth: int) -> _Truth:
        """A condition: `and`, `or`, `not`, or a comparison of numbers."""
        self._shallow(node, depth)
        match node:
            case ast.BoolOp(op=op, values=parts):
                tests = [self._truth(part, depth + 1) for part in parts]
                join = all if isinstance(op, ast.And) else any
                return lambda values: join(test(values) for test in tests)
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                negated = self._truth(inner, depth + 1)
                return lambda values: not negated(values)
            case ast.Compare():
                return self._comparison(node, depth)
        self._number(node, depth)  # says so where it is no number either
        raise self._error(f"{self._source(node)!r} needs a comparison, such as <= 8e6", self._column(node))

    def _comparison(self, node: ast.Compare, depth: int) -> _Truth:
        terms = [self._number(term, depth + 1) for term in (node.left, *node.comparators)]
        tests = []
        for op, after in zip(node.ops, node.comparators, strict=True):
            if type(op) not in _COMPARE:
                raise self._error("compare with < <= > >= == !=", self._column(after))
            tests.append(_COMPARE[type(op)])

        def holds(values: Values) -> bool:
            numbers = [term(values) for term in terms]
            return all(test(a, b) for test, a, b in zip(tests, numbers, numbers[1:], strict=False))

        return holds

    def _gap(self, node: ast.expr) -> _Number:
        """How far from true a condition is that `_truth` has read."""
        match node:
            case ast.BoolOp(op=op, values=parts):
                gaps = [self._gap(part) for part in parts]
                join: Callable[[Iterable[float]], float] = min if isinstance(op, ast.Or) else sum
                return lambda values: join(gap(values) for gap in gaps)
            case ast.Compare():
                terms = [self._number(term, 0) for term in (node.left, *node.comparators)]
                kinds = [(type(op), _COMPARE[type(op)]) for op in node.ops]

                def gap(values: Values) -> float:
                    numbers = [term(values) for term in terms]
                    steps = zip(kinds, numbers, numbers[1:], strict=False)
                    return sum(0.0 if test(a, b) else _away(kind, a, b) for (kind, test), a, b in steps)

                return gap
        test = self._truth(node, 0)
        return lambda values: 0.0 if test(values) else 1.0

    def _number(self, node: ast.expr, depth: int) -> _Number:
        """A number: a literal, a name, or arithmetic on numbers."""
        self._shallow(node, depth)
        match node:
            case ast.Constant(value=int() | float() as literal) if not isinstance(literal, bool):
                number = self._literal(literal, node)
                return lambda values: number
            case ast.Name() | ast.Attribute():
                name = self._name(node)
                return lambda values: _finite(float(values[name]))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=inner):
                part = self._number(inner, depth + 1)
                return part if isinstance(sign, ast.UAdd) else lambda values: -part(values)
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _ARITHMETIC:
                do = _ARITHMETIC[type(op)]
                a, b = self._number(left, depth + 1), self._number(right, depth + 1)
                return lambda values: _finite(do(a(values), b(values)))
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                raise self._error(
                    f"{self._source(node)!r} stands where a number is needed", self._column(node)
                )
        raise self._error(f"{self._source(node)!r} is not in the language: {_ALLOWED}", self._column(node))

    def _literal(self, value: int | float, node: ast.expr) -> float:
        try:
            return _finite(float(value))
        except OverflowError:
            raise self._error("this number is too large", self._column(node)) from None

    def _name(self, node: ast.expr) -> str:
        steps: list[str] = []
        while isinstance(node, ast.Attribute):
            steps.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            raise self._error(f"{self._source(node)!r} is not a name", self._column(node))
        name = ".".join([node.id, *reversed(steps)])
        if self.known is not None and name not in self.known and node.id not in self.known:
            raise UnknownName("metric or numeric choice", name, self.known, more="untrained list")
        self.found.append(name)
        return name

    def _shallow(self, node: ast.expr, depth: int) -> None:
        if depth > DEEPEST:
            raise self._error(f"nested more than {DEEPEST} levels deep", self._column(node))

    def _source(self, node: ast.expr) -> str:
        raw = self.text.encode()  # the tree counts bytes
        return raw[node.col_offset : node.end_col_offset].decode()

    def _column(self, node: ast.expr) -> int:
        return len(self.text.encode()[: node.col_offset].decode())

    def _error(self, what: str, column: int) -> UsageError:
        start = max(0, column - SHOWN // 2)
        return UsageError(
            f"--where, column {column + 1}: {what}\n"
            f"  {self.text[start : start + SHOWN]}\n"
            f"  {' ' * (column - start)}^\n"
            '  write it like: --where "params <= 8e6 and latency < 20"'
        )


@dataclass(frozen=True)
class _Bound:
    """What a comparison says of a name: above `value` if it is `below`, else beneath it."""

    value: float
    below: bool
    strict: bool
    clause: str


# What `name OP number` says: (bounds it from below?, strictly?).
_READ: dict[type[ast.cmpop], tuple[tuple[bool, bool], ...]] = {
    ast.Lt: ((False, True),),
    ast.LtE: ((False, False),),
    ast.Gt: ((True, True),),
    ast.GtE: ((True, False),),
    ast.Eq: ((True, False), (False, False)),
}
_MIRRORED = {
    op: tuple((not below if op is not ast.Eq else below, strict) for below, strict in said)
    for op, said in _READ.items()
}


def _constant(node: ast.expr) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as literal):
            return float(literal)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            number = _constant(inner)
            return None if number is None else -number
    return None


def _away(kind: type[ast.cmpop], a: float, b: float) -> float:
    """How far a comparison that does not hold is from holding, relative to the larger of the two."""
    return 1.0 if kind is ast.NotEq else abs(a - b) / (max(abs(a), abs(b)) or 1.0)


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise OverflowError(f"{number} in a constraint")
    return number
