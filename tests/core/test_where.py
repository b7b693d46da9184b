"""The constraint language: what it accepts, what it means, and that nothing else gets in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from untrained.core.errors import UnknownName, UsageError
from untrained.core.where import LONGEST, Where

VALUES = {"params": 7e6, "latency": 12.5, "layers": 3.0, "zero": 0.0, "hidden_covariance.layer2": -4.0}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("   ", True),
        ("params <= 8e6", True),
        ("params <= 8e6 and latency < 10", False),
        ("1e6 < params <= 7_000_000", True),
        ("1e6 < params < 2e6 < latency", False),
        ("not latency < 20 or layers == 3", True),
        ("(params < 1 or latency < 20) and layers != 4", True),
        ("hidden_covariance.layer2 > -5", True),
        ("params / layers - 2 * latency ** 2 > 2e6", True),
        ("-2 ** 2 == -4 and 2 ** 3 ** 2 == 512 and +1 == 1", True),  # precedence as in Python
        ("params <=\n  8e6\tand layers < 4", True),
    ],
)
def test_a_constraint_means_what_it_says(text: str, holds: bool) -> None:
    assert Where.parse(text).holds(VALUES) is holds


def test_broken_clauses_are_named_as_they_were_typed() -> None:
    where = Where.parse(
        "params <= 8e6 and (latency  < 10 or layers > 5) and layers in_range".replace(" in_range", "<3")
    )
    assert where.broken(VALUES) == ["latency < 10 or layers > 5", "layers<3"]
    assert where.names == ("params", "latency", "layers")
    assert [c.names for c in where.clauses] == [("params",), ("latency", "layers"), ("layers",)]


def test_equal_texts_are_equal_constraints() -> None:
    assert Where.parse("params  < 3") == Where.parse("params < 3") != Where.parse("params < 4")
    assert Where.parse("") == Where()


@pytest.mark.parametrize(
    "text",
    [
        "1 / zero > 0",
        "not 1 / zero > 0",
        "9**9**9**9 > 1",
        "1e308 * 10 > 1",
        "(0 - 8) ** 0.5 < 1",
        "absent > 0",
        "absent < 0 or absent >= 0",
    ],
)
def test_what_cannot_be_computed_is_broken(text: str) -> None:
    assert Where.parse(text).broken(VALUES) == [text]


def test_a_name_without_a_finite_value_is_broken() -> None:
    assert not Where.parse("params < 1").holds({"params": float("nan")})
    assert not Where.parse("params < 1").holds({"params": float("-inf")})


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("params", 1, "needs a comparison"),
        ("params + 1", 1, "needs a comparison"),
        ("params = 8", 8, "write '=='"),
        ("params <= 8M", 11, "decimal literal"),
        ("params < 8 &&  x < 1", 12, "write 'and'"),
        ("params < 8 | x < 1", 12, "write 'or'"),
        ("params < 'many'", 10, "not in the language"),
        ("params < True", 10, "not in the language"),
        ("params < 3j", 10, "not in the language"),
        ("params in 3", 11, "compare with"),
        ("params is 3", 11, "compare with"),
        ("(params < 3) + 1 < 2", 2, "a number is needed"),
        ("params % 2 == 0", 1, "not in the language"),
        ("max(params, 1) < 2", 1, "not in the language"),
        ("[params][0] < 2", 1, "not in the language"),
        ("(params := 3) < 4", 10, "means nothing"),
        ("params < 3, layers < 4", 1, "not in the language"),
        ("params < 3 # and layers < 4", 12, "'#'"),
        ("f(params).x < 2", 1, "is not a name"),
        ("lambda: 1 < 2", 1, "not in the language"),
        ("8e6and params < 3", 3, "decimal literal"),
        ("é < 3 and 'x' < 2", 11, "not in the language"),  # characters, not bytes
        ("params < " + "9" * 400, 10, "too large"),
        ("params < " + "(" * 300 + "1" + ")" * 300, None, ""),
        ("params < " + "-" * 600 + "1", None, ""),
        ("params < " + "1+" * 300 + "1", None, "levels deep"),
        ("params < \0", None, ""),
    ],
)
def test_what_is_not_in_the_language_is_refused_with_its_column(
    text: str, column: int | None, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Where.parse(text)
    head, shown, caret, advice = str(caught.value).splitlines()
    assert says in head
    assert "write it like" in advice
    if column is not None:
        assert f"column {column}:" in head
        assert caret.index("^") - 2 == column - 1
        assert shown.strip() in " ".join(text.split())


def test_a_text_of_any_length_costs_nothing() -> None:
    with pytest.raises(UsageError, match="characters long"):
        Where.parse("params < 1 and " * LONGEST)


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'params'"):
        Where.parse("parms <= 8e6", known=["params", "latency"])
    with pytest.raises(UnknownName, match="hidden_cov"):
        Where.parse("hidden_cov.layer2 <= 8e6", known=["hidden_covariance"])
    assert Where.parse("hidden_covariance.layer2 > 0", known={"hidden_covariance"}).names
    assert Where.parse("a.b.c > 0").names == ("a.b.c",)


# --- against Python's own arithmetic -----------------------------------------------------------------

_NUMBER = st.recursive(
    st.sampled_from(["params", "latency", "layers", "zero", "2", "0.5", "8e6"]),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(
        lambda t: f"({' '.join(t)})"
    ),
    max_leaves=4,
)
_TEST = st.tuples(_NUMBER, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), _NUMBER).map(" ".join)
_CONDITION = st.recursive(
    _TEST,
    lambda inner: st.one_of(
        inner.map(lambda t: f"not ({t})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
    ),
    max_leaves=4,
)


@given(_CONDITION)
def test_agrees_with_python(text: str) -> None:
    try:
        expected = bool(eval(text, {}, dict(VALUES)))  # the oracle; our own code never does this
    except ZeroDivisionError:
        expected = None
    found = Where.parse(text).holds(VALUES)
    assert found == expected or (expected is None and found is False)


@given(st.text(alphabet="ab<>=!+-*/().,:[]{}'\"0123456789eE_ \\\n\tandornotif#@%é\0", max_size=60))
def test_no_text_does_anything_but_parse_or_refuse(text: str) -> None:
    try:
        where = Where.parse(text)
    except UsageError:
        return
    assert isinstance(where.holds({"a": 1.0, "b": 2.0}), bool)
