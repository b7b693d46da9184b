"""Architectures from files: JSON lines, a JSON list, one object over several lines, published recipes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any

from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, UsageError
from untrained.core.named import construct
from untrained.core.space import Space

LONGEST_LINE = 2**20  # bytes of one architecture that comes in a line
LARGEST = 256 * 2**20  # bytes of a file of architectures; some half a million of them
SHOWN = 70  # characters of a bad line
MAKE = "make one: untrained sample rnn_cell -n 100 > cells.jsonl"


def space_named(name: str) -> Space:
    """The search space of that name; unlike the one in `api`, without loading torch."""
    found: Space = construct("space", name)
    return found


def architectures(path: str, space: str | None) -> tuple[Space, list[Architecture]]:
    """Every architecture of a file (`-` is stdin), checked by its space, which all of them share.

    Raises UsageError or InvalidArchitecture with the file, the line and what is wrong there.
    """
    name = "stdin" if path == "-" else path
    where = None if space is None else space_named(space)
    found = []
    for position, record in _records(name, _text(path, name)):
        try:
            arch, where = _architecture(record, where)
        except UsageError as error:
            raise InvalidArchitecture(f"{name}, {position}: {error}") from None
        found.append(arch)
    if where is None or not found:
        raise UsageError(f"{name} holds no architecture.\n  {MAKE}")
    return where, found


def arriving(path: str, space: str | None) -> Iterator[tuple[Space, Architecture]]:
    """Every architecture of JSON lines as soon as its line is there, with the space that all of them share.

    Raises what `architectures` raises, when the line in question comes.
    """
    name = "stdin" if path == "-" else path
    where = None if space is None else space_named(space)
    for position, line in _lines(path, name):
        try:
            record = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise UsageError(f"{name}, {position}: not UTF-8, at byte {error.start}.\n  {MAKE}") from None
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{name}, {position}: not JSON in one line: {error}.\n  {MAKE}") from None
        try:
            arch, where = _architecture(record, where)
        except UsageError as error:
            raise InvalidArchitecture(f"{name}, {position}: {error}") from None
        yield where, arch


def _lines(path: str, name: str) -> Iterator[tuple[str, bytes]]:
    """(position, line) of a stream, without those that are empty; it may never end."""
    if path == "-" and (sys.stdin is None or sys.stdin.closed):
        raise UsageError(f"stdin is closed, so there is nothing to read from '-'.\n  {MAKE}")
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else Path(path).expanduser().open("rb") as file:
            for i in count(1):
                line = file.readline(LONGEST_LINE + 1)
                if len(line) > LONGEST_LINE:
                    raise UsageError(
                        f"{name}, line {i} is longer than {LONGEST_LINE // 2**20} MiB.\n  {MAKE}"
                    )
                if not line:
                    return
                if line.strip():
                    yield f"line {i}", line
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}.\n  {MAKE}") from None


def recipe(typed: str, space: Space) -> list[Architecture]:
    """A network by the name that everybody knows (`lstm`), or the published recipes in a file."""
    if typed == "-" or Path(typed).suffix or Path(typed).is_file():
        return architectures(typed, space.name)[1]
    if not hasattr(space, "classic"):
        raise UsageError(f"{space.name} has no networks by name.\n  give a file: --arch FILE")
    found: Architecture = space.classic(typed.lower())
    return [found]


def _architecture(record: Any, where: Space | None) -> tuple[Architecture, Space]:
    """What one JSON value says; the first one says which space it is, unless the user has."""
    if not isinstance(record, dict):
        raise UsageError(
            f"a JSON {type(record).__name__} is not an architecture, which is an object.\n  {MAKE}"
        )
    if isinstance(inner := record.get("architecture"), dict):  # a record of `rank --json` and others
        record = inner
    if record and all(isinstance(node, dict) and "op" in node for node in record.values()):
        return _published(record, where)
    if not {"space", "choices"} <= record.keys() or not isinstance(record["space"], str):
        raise UsageError(
            'an architecture is an object like {"space": "rnn_cell", "choices": {...}}; this one has'
            f" {', '.join(map(repr, list(record)[:5])) or 'nothing'}.\n  {MAKE}"
        )
    place = where or space_named(record["space"])
    arch = Architecture.from_json(record)
    place.validate(arch)
    return arch, place


def _published(record: dict[str, Any], where: Space | None) -> tuple[Architecture, Space]:
    if where is None:
        raise UsageError("a published recipe does not name its space.\n  add: --space rnn_cell")
    if not hasattr(where, "from_recipe"):
        raise UsageError(f"{where.name} does not read published recipes; architectures only")
    found: Architecture = where.from_recipe(record)
    return found, where


def _text(path: str, name: str) -> str:
    raw = _bytes(path, name)
    if b"\0" in raw[:65536]:
        raise UsageError(f"{name} is binary (it holds zero bytes), not JSON.\n  {MAKE}")
    if not raw.strip():
        raise UsageError(f"{name} is empty.\n  {MAKE}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name} is not UTF-8: byte {raw[error.start]:#04x} at {error.start}.\n  {MAKE}"
        ) from None


def _bytes(path: str, name: str) -> bytes:
    try:
        if path == "-":
            if sys.stdin is None or sys.stdin.closed:
                raise UsageError(f"stdin is closed, so there is nothing to read from '-'.\n  {MAKE}")
            raw = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(path).expanduser().open("rb") as file:
                raw = file.read(65536)
                if b"\0" not in raw:  # else it is told apart before the rest is read
                    raw += file.read(LARGEST + 1 - len(raw))
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}.\n  {MAKE}") from None
    if len(raw) > LARGEST:
        raise UsageError(
            f"{name} is larger than {LARGEST // 2**20} MiB.\n  take it in parts: split -l 100000 {name}"
        )
    return raw


def _records(name: str, text: str) -> Iterator[tuple[str, Any]]:
    """(position, JSON value) of everything in the text, whichever of the forms it has."""
    lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        if len(lines) == 1 or not any(_is_object(line) for _, line in lines):
            raise _not_json(name, 1, text, error) from None
    else:
        if isinstance(whole, list):
            yield from ((f"item {i}", item) for i, item in enumerate(whole, 1))
        else:
            yield f"line {lines[0][0]}", whole
        return
    for i, line in lines:
        try:
            yield f"line {i}", json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _not_json(name, i, line, error) from None


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _not_json(name: str, first: int, text: str, error: Exception) -> UsageError:
    """What is wrong with a text that begins in line `first`, and in which line."""
    if not isinstance(error, json.JSONDecodeError):
        return UsageError(f"{name}, line {first}: not JSON that can be read: {error}.\n  {MAKE}")
    there = text.split("\n")[error.lineno - 1].strip()[:SHOWN]
    return UsageError(
        f"{name}, line {first + error.lineno - 1}: not JSON: {error.msg}, column {error.colno}.\n"
        f"  {there}\n  {MAKE}"
    )
