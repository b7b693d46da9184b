"""What goes wrong, in the user's words, with the next thing to type."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


class UntrainedError(Exception):
    """Work that failed; the command line ends with exit code 1."""


class UsageError(UntrainedError):
    """Something was asked for wrongly; the command line ends with exit code 2."""


class UnknownName(UsageError):
    """A thing was asked for by a name that nothing carries."""

    def __init__(self, kind: str, name: str, known: Sequence[str], more: str | None = None) -> None:
        self.kind, self.name, self.known = kind, name, list(known)
        near = get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        super().__init__(
            f"no {kind} is called {name!r}.{hint}\n"
            f"  known: {', '.join(known) or '(none)'}\n"
            f"  more:  {more or f'untrained list {kind}'}"
        )


class MissingExtra(UsageError):
    """An optional package is needed and not installed."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs {package}, which is not installed.\n  install: pip install 'untrained[{extra}]'"
        )


class InvalidArchitecture(UsageError):
    """An architecture that its space cannot build."""


class BadText(UsageError):
    """A text file that cannot serve as input."""


class BadData(UsageError):
    """A benchmark file that is missing, truncated or not what it should be."""


class BadStore(UsageError):
    """A study file that is not ours, from another version, or in use."""


class MeasurementFailed(UntrainedError):
    """A metric has no number for this network; the reason goes into the record, the search goes on."""


class MissingRole(MeasurementFailed):
    """A network does not show what a proxy looks at."""

    def __init__(self, role: str, model: str, known: Sequence[str]) -> None:
        super().__init__(
            f"{model} has no tap called {role!r} (it has: {', '.join(known) or 'none'}).\n"
            f"  give it: wrap the model in an adapter whose forward writes tape.add({role!r}, layer, tensor);"
            " see untrained.nn.taps"
        )


class MissingMethod(MeasurementFailed):
    """A network lacks a method that a proxy calls."""

    def __init__(self, method: str, model: str, what: str) -> None:
        super().__init__(
            f"{model} has no method {method!r}: {what}.\n"
            "  give it: wrap the model in an adapter that has it; see untrained.nn.taps"
        )
