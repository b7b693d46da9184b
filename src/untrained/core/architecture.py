"""The value that everything passes around: which network, never the network itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from untrained.core.errors import InvalidArchitecture
from untrained.core.frames import frame
from untrained.core.shown import html


def frozen(value: Any) -> Any:
    """The same tree with tuples for lists, so that it can be hashed."""
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


_PAIRS: dict[tuple[str, type, Any], tuple[str, Any]] = {}
_MOST_PAIRS = 100_000


def _pair(name: str, value: Any) -> tuple[str, Any]:
    """(name, value), one object for all architectures that decided so: a third of what a million take."""
    value = frozen(value)
    kind = type(value)
    if kind is not int and kind is not str and kind is not bool:
        return name, value
    key = (name, kind, value)  # with its kind, as 1 and True are equal and not the same JSON
    found = _PAIRS.get(key)
    if found is None:
        found = (name, value)
        if len(_PAIRS) < _MOST_PAIRS:
            _PAIRS[key] = found
    return found


@dataclass(frozen=True)
class Architecture:
    """A frozen value: the name of a space and a tree of decisions.

    Equal networks are equal values as long as the space that made it is asked for the canonical form;
    every method of `Space` that returns an architecture does so.
    """

    space: str
    choices: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, space: str, **choices: Any) -> Architecture:
        """From keyword arguments; their order does not matter."""
        return cls(space, tuple(sorted(_pair(k, v) for k, v in choices.items())))

    @classmethod
    def from_json(cls, text: str | dict[str, Any]) -> Architecture:
        """Reads what `to_json` wrote; a mapping that is already parsed is fine too."""
        try:
            record = json.loads(text) if isinstance(text, str) else text
            return cls.of(record["space"], **record["choices"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            start = str(text)[:60]
            raise InvalidArchitecture(
                f"not an architecture: {start!r} ({type(error).__name__}: {error}).\n"
                '  it is one JSON object: {"space": "rnn_cell", "choices": {...}}\n'
                "  make one: untrained sample rnn_cell -n 1"
            ) from None

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no white space, non-ASCII escaped."""
        record = {"choices": dict(self.choices), "space": self.space}
        return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @cached_property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON; the same on every machine."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def _repr_html_(self) -> str | None:
        return html(self)

    def table(self) -> Any:
        """Its choices, one row each; see `untrained.core.frames`."""
        return frame([{"choice": name, "value": value} for name, value in self.choices])

    def __getattr__(self, name: str) -> Any:
        for key, value in self.__dict__.get("choices", ()):
            if key == name:
                return value
        raise AttributeError(f"an architecture of {self.__dict__.get('space')!r} has no choice {name!r}")
