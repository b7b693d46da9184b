"""Architectures share what they decided alike, and keep what JSON tells apart."""

from __future__ import annotations

from untrained.core.architecture import Architecture


def test_kinds_that_python_calls_equal_stay_apart() -> None:
    made = [Architecture.of("x", k=value) for value in (1, True, "1", 1.0, None)]
    again = [Architecture.of("x", k=value) for value in (True, 1, 1.0, "1", None)]
    assert [a.to_json() for a in made] == [
        '{"choices":{"k":1},"space":"x"}',
        '{"choices":{"k":true},"space":"x"}',
        '{"choices":{"k":"1"},"space":"x"}',
        '{"choices":{"k":1.0},"space":"x"}',
        '{"choices":{"k":null},"space":"x"}',
    ]
    assert len({a.id for a in made}) == 5
    assert {a.id for a in again} == {a.id for a in made}


def test_equal_decisions_are_one_object() -> None:
    first, second = (Architecture.of("x", width=width, depth=3) for width in (8, 16))
    assert first.choices[0] is second.choices[0]
    assert first != second
    assert Architecture.from_json(first.to_json()).choices[1] is first.choices[1]
