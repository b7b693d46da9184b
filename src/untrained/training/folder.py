"""Where a training is kept.

The layout, which `untrained train -o DIR` writes and `untrained export DIR` reads:

    architecture.json       for an architecture: {"space": ..., "choices": {...}, "scale": "paper"}. The
                            network is space.build(Architecture.from_json(record), scale=record["scale"])
    weights.safetensors     for an architecture or a module: the weights of the best examination, under the
                            names of the network's state_dict, a tied weight once; its header has `step` and
                            `marks`, as JSON under the key `untrained`
    config.json, model.safetensors
                            in their place for a Hugging Face model: what its save_pretrained writes
    tokenizer.json          the tokenizer; bytes are one as well
    recipe.json             {"recipe": name, "settings": {...}, "data": fingerprint, "what": network,
                            "tokenizer": name, "versions": {...}}
    curve.jsonl             one object a line: {"step", "loss", "lr", "norm", "seconds"} while it trains,
                            {"step", "held_out": {"loss", ...}, "seconds"} for an examination; losses in nats
    checkpoint.safetensors  what going on takes; may be deleted when the training has ended
    result.json             when it has ended: step, marks of the best examination, baselines, seconds

Each file is there as a whole or not at all; the curve may end in a part of a line, which is cut off when the
training goes on.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from untrained.core.errors import UntrainedError, UsageError
from untrained.core.files import unwritten, whole
from untrained.nn.adapters.sources import quiet
from untrained.training.checkpoint import Tensors, save_tensors

ARCHITECTURE, WEIGHTS = "architecture.json", "weights.safetensors"
RECIPE, CURVE, CHECKPOINT, RESULT = "recipe.json", "curve.jsonl", "checkpoint.safetensors", "result.json"


class Folder:
    """The folder of one training."""

    def __init__(self, path: str | Path, *, resume: bool = False) -> None:
        """Makes the folder; raises UsageError for one that holds something, unless it is to go on."""
        self.path = Path(path).expanduser()
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{path} is a file, and a training is kept in a folder.\n  name another: -o DIR")
        if self.path.is_dir() and any(self.path.iterdir()) and not resume:
            raise UsageError(
                f"{path} exists and is not empty.\n"
                "  go on with the training in it: the same command with --resume\n"
                "  or name another folder: -o DIR"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{path} cannot be made: {error.strerror}.\n  name another: -o DIR") from None

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    @property
    def curve(self) -> Path:
        return self.path / CURVE

    def write(self, name: str, record: Any) -> None:
        """One JSON file."""
        with whole(self.path / name) as part:
            part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def read(self, name: str) -> Any:
        """One JSON file; None where it is not there or no JSON."""
        with suppress(OSError, ValueError):
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        return None

    def keep(self, model: nn.Module, tensors: Tensors, **said: Any) -> None:
        """The best weights so far, in the form that the model's readers know."""
        if not hasattr(model, "save_pretrained"):
            save_tensors(self.path / WEIGHTS, tensors, **said)
            return
        part = self.path / ".pretrained.part"
        try:
            shutil.rmtree(part, ignore_errors=True)
            with quiet():
                model.save_pretrained(part, state_dict=_untied(model, tensors))  # type: ignore[operator]
            for file in sorted(part.iterdir()):
                with whole(self.path / file.name) as name:
                    file.rename(name)
        except OSError as error:
            raise unwritten(self.path, error) from error
        except UntrainedError:
            raise
        except Exception as error:  # safetensors has errors of its own for a full disk
            raise unwritten(self.path, OSError(None, str(error))) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _untied(model: nn.Module, tensors: Tensors) -> Tensors:
    """The tensors under all names that the model has for them; save_pretrained leaves doubles out itself."""
    first: dict[tuple[Any, ...], str] = {}
    found: Tensors = {}
    for name, tensor in model.state_dict().items():
        owner = first.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()), name)
        found[name] = tensors[owner]
    return found
