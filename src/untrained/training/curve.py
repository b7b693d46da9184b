"""Learning curves: JSON lines, and TensorBoard where it is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from untrained.core.errors import MissingExtra
from untrained.core.files import unwritten

Line = dict[str, Any]


class Curve:
    """The lines so far, in memory and in a file where there is one."""

    def __init__(self, path: Path | None = None, *, board: Path | None = None) -> None:
        self.lines: list[Line] = []
        self.path = path
        self._board: Any = None if board is None else _writer(board)

    def begin(self, step: int) -> None:
        """Keeps what is in the file up to that step; what a killed run wrote after its checkpoint goes."""
        if self.path is None:
            return
        self.lines = [line for line in read_lines(self.path) if line["step"] <= step] if step else []
        try:
            self.path.write_text("".join(f"{json.dumps(line)}\n" for line in self.lines), encoding="utf-8")
        except OSError as error:
            raise unwritten(self.path, error) from error

    def add(self, line: Line) -> None:
        """One line, on its way to the disk when this returns."""
        self.lines.append(line)
        if self.path is not None:
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(f"{json.dumps(line)}\n")
            except OSError as error:
                raise unwritten(self.path, error) from error
        if self._board is not None:
            for name, value in _scalars(line).items():
                self._board.add_scalar(name, value, line["step"])

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def read_lines(path: Path) -> list[Line]:
    """The whole lines of a file; a last one that was cut short is left out."""
    if not path.is_file():
        return []
    found: list[Line] = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            break
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            break
        found.append(line)
    return found


def _scalars(line: Mapping[str, Any]) -> dict[str, float]:
    """What TensorBoard draws of a line."""
    train = {f"train/{k}": line[k] for k in ("loss", "lr", "norm") if k in line}
    return train | {f"held_out/{k}": v for k, v in line.get("held_out", {}).items()}


def _writer(folder: Path) -> Any:
    try:
        return import_module("torch.utils.tensorboard").SummaryWriter(str(folder))
    except ImportError:
        raise MissingExtra("a learning curve for TensorBoard", "tensorboard", "training") from None
