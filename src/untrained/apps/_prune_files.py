"""A sub-network on disk: configuration, weights in shards, and what goes with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from untrained.nn.adapters.sources import quiet
from untrained.nn.pretrained.checkpoint import Checkpoint
from untrained.nn.pretrained.parent import Parent

SHARD = 2 * 10**9  # bytes of a file of weights; as much is in memory while it is written
BESIDE = ("generation_config.json",)


def write(
    folder: Path,
    config: Any,
    tensors: Mapping[str, Callable[[], Tensor]],
    dtype: torch.dtype,
    beside: list[Path],
) -> None:
    """Configuration, weights in shards, and files that go with them. Holds one shard in memory."""
    config.dtype = dtype
    with quiet():
        config.save_pretrained(folder)
    for path in beside:
        shutil.copyfile(path, folder / path.name)
    shards = _shards(folder, tensors, dtype)
    if len(shards) == 1:
        (folder / shards[0][0]).rename(folder / "model.safetensors")
        return
    weight_map: dict[str, str] = {}
    total = 0
    for i, (name, held, size) in enumerate(shards, start=1):
        final = f"model-{i:05}-of-{len(shards):05}.safetensors"
        (folder / name).rename(folder / final)
        weight_map |= dict.fromkeys(held, final)
        total += size
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _shards(
    folder: Path, tensors: Mapping[str, Callable[[], Tensor]], dtype: torch.dtype
) -> list[tuple[str, list[str], int]]:
    """(file, tensors in it, bytes) of files that are no larger than a shard, or hold one tensor."""
    found: list[tuple[str, list[str], int]] = []
    held: dict[str, Tensor] = {}

    def close() -> None:
        name = f"part-{len(found)}.safetensors"
        size = sum(t.nbytes for t in held.values())
        try:
            (folder / name).touch()
            mode = (folder / name).stat().st_mode  # of new files; safetensors makes private ones
            save_file(held, folder / name, metadata={"format": "pt"})
            (folder / name).chmod(mode)
        except SafetensorError as error:
            raise OSError(None, str(error)) from None
        found.append((name, list(held), size))
        held.clear()

    for name, make in tensors.items():
        tensor = make().to(dtype).contiguous()
        if held and sum(t.nbytes for t in held.values()) + tensor.nbytes > SHARD:
            close()
        held[name] = tensor
    close()
    return found


def size_on_disk(folder: Path) -> int:
    """Bytes of the weights of a model directory; other safetensors that may lie there do not count."""
    return sum(path.stat().st_size for path in Checkpoint(folder).files)


def beside(parent: Parent) -> list[Path]:
    """What of the parent goes with a sub-network: tokenizer and settings of generation, never weights."""
    assert parent.folder is not None
    return [*parent.reader.files, *(p for n in BESIDE if (p := parent.folder / n).is_file())]
