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
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from untrained.core.errors import UnknownName, UsageError

LONGEST = 1_000  # characters of a constraint
DEEPEST = 40  # levels of nesting; Python's own stack ends near a thousand
SHOWN = 90  # characters of the text that an error message shows

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

    def holds(self, values: Values) -> bool:
        """False also where it cannot be computed: a name without a value, 1 / 0, an overflow."""
        try:
            return self.test(values)
        except (KeyError, ArithmeticError, ValueError, TypeError):
            return False


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
        return cls(text, tuple(reader.clauses()))

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

    def clauses(self) -> list[Clause]:
        made = []
        for node in self._conjuncts(self._tree(), 0):
            self.found = []
            test = self._truth(node, 0)
            made.append(Clause(self._source(node), tuple(dict.fromkeys(self.found)), test))
        return made

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


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise OverflowError(f"{number} in a constraint")
    return number
