"""The log of a search for formulas."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from untrained.apps._discover_judging import Judged
from untrained.core.errors import UsageError
from untrained.core.files import write_whole
from untrained.core.formula import Node, apply, canonical


class Log:
    """What was judged, one JSON line a formula; a run that was stopped is replayed from it.

    The first line says of what search it is. A line that is cut off, as by a kill, is dropped.
    """

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self.path, self.old = path, list[dict[str, Any]]()
        self.count = 0
        if path is None:
            return
        first = json.dumps(dict(header))
        if path.exists() and path.stat().st_size:
            self._take_up(path, first)
        else:
            _write(path, [first])

    def _take_up(self, path: Path, first: str) -> None:
        try:
            text = path.read_bytes().decode()
            whole = text[: text.rfind("\n") + 1].splitlines()
            records = [json.loads(line) for line in whole]
        except (ValueError, RecursionError):
            raise UsageError(f"the log {path} is not JSON lines\n  name another file: --log FILE") from None
        if not records:  # killed while the first line was written
            _write(path, [first])
            return
        if records[0] != json.loads(first):
            raise UsageError(
                f"the log {path} is of another search: other networks, seed or release\n"
                "  name another file: --log FILE"
            )
        for number, record in enumerate(records[1:], start=2):
            if not _sound(record):
                raise UsageError(
                    f"the log {path}, line {number}, is no formula that was judged\n"
                    "  name another file: --log FILE"
                )
        self.old = records[1:]
        _write(path, whole)

    def judge(self, nodes: Sequence[Node], judge: Callable[[Node], Judged]) -> tuple[list[Judged], int]:
        """Each node judged, by memory where the log has it, and how many were new."""
        found, lines = [], []
        for node in nodes:
            if self.count < len(self.old):
                record = self.old[self.count]
                if record.get("asked") != node.key:
                    raise UsageError(f"the log {self.path} is of another search: line {self.count + 2}")
                turned = canonical(apply("neg", node)) if record["turned"] else node
                found.append(Judged(turned, tuple(record["taus"]), record["order"]))
            else:
                one = judge(node)
                found.append(one)
                lines.append(
                    json.dumps(
                        {
                            "asked": node.key,
                            "turned": one.node != node,
                            "taus": list(one.taus),
                            "order": one.digest,
                        }
                    )
                )
            self.count += 1
        if lines and self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
        return found, len(lines)


def _sound(record: Any) -> bool:
    """Whether a line of a log is what `Log.judge` writes."""
    if not isinstance(record, dict) or not isinstance(record.get("taus"), list):
        return False
    kinds = {"asked": str, "turned": bool, "order": str}
    taus = all(isinstance(t, int | float) and abs(t) <= 1 + 1e-9 for t in record["taus"])
    return taus and all(isinstance(record.get(name), kind) for name, kind in kinds.items())


def _write(path: Path, lines: Sequence[str]) -> None:
    write_whole(path, "".join(f"{line}\n" for line in lines))
