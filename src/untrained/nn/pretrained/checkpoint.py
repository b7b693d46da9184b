"""The weights of a model directory, read tensor by tensor: they never have to be in memory together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from untrained.core.errors import UsageError

INDEX = "model.safetensors.index.json"
CHUNK = 2**22


class Checkpoint:
    """The safetensors of a directory, whole or in shards.

    Raises UsageError, naming the file, for one that is missing, cut short or not safetensors.
    """

    def __init__(self, folder: Path, base: str = "", also: Mapping[str, str] | None = None) -> None:
        """`base` is the prefix of the body, which checkpoints of a body alone leave out.

        `also` has other names under which tensors may be stored.
        """
        self.folder, self.base, self.also = folder, base, dict(also or {})

    @cached_property
    def files(self) -> list[Path]:
        """In alphabetical order."""
        index = self.folder / INDEX
        if not index.is_file():
            found = sorted(self.folder.glob("*.safetensors"))
            whole = self.folder / "model.safetensors"
            if not found:
                raise UsageError(
                    f"{self.folder} has no weights in safetensors (model.safetensors, or {INDEX})"
                )
            return [whole] if whole in found else found
        try:
            record = json.loads(index.read_text(encoding="utf-8"))
            listed = sorted(set(record["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise UsageError(f"{index} is no list of shards: {type(error).__name__}: {error}") from None
        if missing := [name for name in listed if not (self.folder / name).is_file()]:
            raise UsageError(
                f"{self.folder} lacks {len(missing)} of its {len(listed)} files of weights, the first being"
                f" {missing[0]}\n  get the whole model again, or the file that is missing"
            )
        return [self.folder / name for name in listed]

    @cached_property
    def places(self) -> dict[str, tuple[Path, tuple[int, ...], str]]:
        """Tensor -> (file, shape, dtype as safetensors writes it)."""
        found = {}
        for path in self.files:
            try:
                with safe_open(path, "pt") as file:
                    for name in file.keys():  # noqa: SIM118 (no mapping)
                        part = file.get_slice(name)
                        found[name] = (path, tuple(part.get_shape()), str(part.get_dtype()))
            except (SafetensorError, OSError) as error:
                raise _broken(path, error) from None
        return found

    def name(self, wanted: str) -> str:
        """The name under which this checkpoint has a tensor of the whole model."""
        for known in (wanted, wanted.removeprefix(self.base), self.also.get(wanted, "")):
            if known in self.places:
                return known
        raise UsageError(
            f"the weights in {self.folder} lack the tensor {wanted}\n  get the whole model again"
        )

    def __getitem__(self, wanted: str) -> Tensor:
        """The tensor as it is stored."""
        name = self.name(wanted)
        path = self.places[name][0]
        try:
            with safe_open(path, "pt") as file:
                found: Tensor = file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise _broken(path, error) from None
        return found

    def shape(self, wanted: str) -> tuple[int, ...]:
        """Of a tensor, without reading it."""
        return self.places[self.name(wanted)][1]

    @cached_property
    def dtype(self) -> torch.dtype:
        """That of the largest tensor."""
        largest = max(self.places, key=lambda name: torch.Size(self.places[name][1]).numel())
        return self[largest].dtype

    @cached_property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of everything in the files."""
        whole = hashlib.sha256()
        for path in self.files:
            status = path.stat()
            whole.update(_digest(path, status.st_size, status.st_mtime_ns))
        return whole.hexdigest()[:16]


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, changed: int) -> bytes:
    """The file's SHA-256; size and time of change are there so that a changed file is read again."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.digest()


def _broken(path: Path, error: Exception) -> UsageError:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UsageError(f"{path} is damaged or is no safetensors file: {said}\n  get this file again")
