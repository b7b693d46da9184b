"""Plug-ins by kind and name. The folder is the list; a file is imported when its name is asked for.

Three ways in: a file in the kind's room, an entry point of another package (`untrained.proxies` and so
on), or a decorator used in a notebook.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from untrained.core.errors import UnknownName, UntrainedError, UsageError

ROOMS = {
    "space": "untrained.spaces",
    "proxy": "untrained.metrics.proxies",
    "cost": "untrained.metrics.costs",
    "predictor": "untrained.metrics.predictors",
    "strategy": "untrained.strategies",
    "benchmark": "untrained.benchmarks",
    "recipe": "untrained.training.recipes",
    "trained": "untrained.training.metrics",
}
GROUPS = {
    "space": "untrained.spaces",
    "proxy": "untrained.proxies",
    "cost": "untrained.costs",
    "predictor": "untrained.predictors",
    "strategy": "untrained.strategies",
    "benchmark": "untrained.benchmarks",
    "recipe": "untrained.recipes",
    "trained": "untrained.trained",
}

_added: dict[tuple[str, str], Any] = {}


@cache
def files(kind: str) -> dict[str, Path]:
    """The plug-in files of a kind by name; imports none of them."""
    spec = find_spec(ROOMS[kind])
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = sorted(m.name for m in iter_modules(folders) if not m.name.startswith("_"))
    return {name: next(p for f in folders if (p := Path(f) / f"{name}.py").exists()) for name in found}


@cache
def outside(kind: str) -> dict[str, EntryPoint]:
    """What other installed packages offer."""
    return {e.name: e for e in _offered().select(group=GROUPS[kind])}


@cache
def _offered() -> Any:
    """What all packages offer, of any kind: finding it reads every installed package, so it is done once."""
    return entry_points()


def names(kind: str) -> list[str]:
    """Every name of a kind, in alphabetical order; loads nothing."""
    if kind not in ROOMS:
        raise UnknownName("kind of plug-in", kind, sorted(ROOMS), more="untrained list")
    here = {name for k, name in _added if k == kind}
    return sorted(here | files(kind).keys() | outside(kind).keys())


def get(kind: str, name: str) -> Any:
    """The plug-in of that kind and name; imports its one file.

    Raises UnknownName, with the nearest names, where nothing carries it.
    """
    if name not in names(kind):
        raise UnknownName(kind, name, names(kind))
    if (kind, name) not in _added:
        if name in files(kind):
            import_module(f"{ROOMS[kind]}.{name}")
        else:
            _load(kind, outside(kind)[name])
    if (kind, name) not in _added:
        raise UntrainedError(
            f"the {kind} plug-in {name!r} was loaded but its file registers nothing of that name"
        )
    return _added[kind, name]


def _load(kind: str, point: EntryPoint) -> None:
    """Loads another package's plug-in; its decorator may have used the function's own name."""
    try:
        plugin = point.load()
    except Exception as error:
        raise UntrainedError(
            f"the {kind} {point.name!r} of another package does not load: {type(error).__name__}: {error}\n"
            f"  entry point: {point.value}"
        ) from error
    _added.setdefault((kind, point.name), plugin)


def name_of(kind: str, plugin: Any) -> str:
    """A plug-in's name: that of its file in our rooms, else of the object in snake case."""
    room, _, file = getattr(plugin, "__module__", "").rpartition(".")
    return file if room == ROOMS[kind] else _snake(plugin.__name__)


def add(kind: str, plugin: Any, *, name: str | None = None) -> str:
    """Registers a plug-in and returns its name; a clash of two different ones raises UsageError."""
    label = name or name_of(kind, plugin)
    before = _added.get((kind, label))
    if before is not None and _origin(before) != _origin(plugin):
        raise UsageError(f"two {kind} plug-ins are called {label!r}: {_origin(before)} and {_origin(plugin)}")
    _added[kind, label] = plugin
    return label


def forget(kind: str, name: str) -> None:
    """Takes back what a decorator added; for tests and notebooks."""
    _added.pop((kind, name), None)


def summary(kind: str, name: str) -> str:
    """First line of a plug-in's docstring, read from the file without importing it."""
    if (kind, name) in _added:
        return (getattr(_added[kind, name], "__doc__", "") or "").strip().partition("\n")[0]
    if name in files(kind):
        return _first_line(files(kind)[name], kind)
    return f"from {outside(kind)[name].value}"


def declared(kind: str, name: str) -> dict[str, Any]:
    """What the decorator of a plug-in file of ours says (`unit`, `better`), without importing it.

    Empty for a plug-in of another package.
    """
    if name not in files(kind):
        return {}
    for node in ast.parse(files(kind)[name].read_text(encoding="utf-8")).body:
        for call in getattr(node, "decorator_list", []):
            if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == kind:
                return {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
    return {}


def _first_line(path: Path, kind: str) -> str:
    text = path.read_text(encoding="utf-8")
    usual = rf'^@(?:\w+\.)?{kind}\b.*?^(?:def|class) .*?"""(.*?)(?:\n|""")'
    if found := re.search(usual, text, re.M | re.S):  # parsing would take most of what `list` takes
        return found[1].strip()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and any(
            kind in ast.unparse(d).split("(")[0] for d in node.decorator_list
        ):
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


def _origin(plugin: Any) -> str:
    return f"{getattr(plugin, '__module__', '?')}.{getattr(plugin, '__name__', plugin)}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
