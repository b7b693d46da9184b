"""The state of a training as one safetensors file: weights, moments, best weights so far, and where it is."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from untrained.core.errors import UntrainedError, UsageError
from untrained.core.files import whole
from untrained.training.optimizer import trainable

Tensors = dict[str, Tensor]
WORDS = "untrained"  # the key in the header of a file under which our words are
MOMENTS = {"first": "exp_avg", "second": "exp_avg_sq", "count": "step"}


@dataclass
class State:
    """Where a training is. The order of the data, masks and dropout follow from `step` and the seed."""

    step: int = 0
    """updates done"""
    best: dict[str, float] = field(default_factory=dict)
    """marks of the best examination"""
    best_step: int = 0
    since: int = 0
    """examinations since the best"""
    lost: float = 0.0
    """sum of the losses of the updates that no line of the curve has yet"""
    seen: int = 0
    """how many these are"""
    seconds: float = 0.0
    """of training and examining, over all runs"""
    finished: bool = False


def tensors_of(model: nn.Module) -> Tensors:
    """Weights and buffers, each once, by the first of its names; on the CPU, and shared with the model."""
    found: Tensors = {}
    seen: set[tuple[Any, ...]] = set()
    for name, tensor in model.state_dict().items():
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.numel() and place in seen:
            continue
        seen.add(place)
        found[name] = tensor.detach().cpu().contiguous()
    return found


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """Puts weights into a model; raises UsageError where names or shapes are not those of the model."""
    wanted = tensors_of(model)
    wrong = sorted(wanted.keys() ^ tensors.keys())
    wrong += [n for n in wanted.keys() & tensors.keys() if wanted[n].shape != tensors[n].shape]
    if wrong:
        raise UsageError(
            f"the weights in {source} are those of another network: {wrong[0]} does not fit"
            f" ({len(wrong)} of {len(wanted)} tensors do not)"
        )
    model.load_state_dict(dict(tensors), strict=False)


def save_tensors(path: Path, tensors: Tensors, **said: Any) -> None:
    """A safetensors file with words in its header, as a whole or not at all."""
    apart = {n: t.clone() if t.untyped_storage().nbytes() > t.nbytes else t for n, t in tensors.items()}
    with whole(path) as part:
        try:
            save_file(apart, part, metadata={WORDS: json.dumps(said)})  # in one, as their order is chance
        except SafetensorError as error:
            raise OSError(errno.EIO, str(error)) from None


def read_tensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """What `save_tensors` wrote; raises UntrainedError for a damaged file."""
    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            words = json.loads((opened.metadata() or {}).get(WORDS, "{}"))
            return {name: opened.get_tensor(name) for name in opened.keys()}, words  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UntrainedError(
            f"{path} cannot be read: {str(error).partition(chr(10))[0]}\n"
            "  it is damaged; delete it to begin anew"
        ) from None


def save(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: State, best: Tensors, about: Any
) -> None:
    """Everything that going on takes."""
    parts = {"model": tensors_of(model), **_moments(model, optimizer)}
    if state.best_step != state.step:
        parts["best"] = best
    flat = {f"{part}/{name}": t for part, found in parts.items() for name, t in found.items()}
    save_tensors(path, flat, state=asdict(state), about=about)


def load(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, about: Mapping[str, Any]
) -> tuple[State, Tensors]:
    """Puts a model and its optimizer where `save` found them; also the best weights so far.

    Raises UsageError where the training that was saved is another one.
    """
    flat, words = read_tensors(path)
    _same(words.get("about", {}), about, path)
    parts: dict[str, Tensors] = {part: {} for part in ("model", "best", *MOMENTS)}
    for key, tensor in flat.items():
        part, _, name = key.partition("/")
        parts[part][name] = tensor
    load_tensors(model, parts["model"], path)
    for name, weight in trainable(model).items():
        if name in parts["first"]:
            optimizer.state[weight] = {
                known: parts[part][name] if part == "count" else parts[part][name].to(weight.device)
                for part, known in MOMENTS.items()
            }
    state = State(**words["state"])
    return state, parts["best"] if state.best_step != state.step else parts["model"]


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensors]:
    found: dict[str, Tensors] = {part: {} for part in MOMENTS}
    for name, weight in trainable(model).items():
        for part, known in MOMENTS.items() if weight in optimizer.state else ():
            found[part][name] = optimizer.state[weight][known].detach().cpu()
    return found


def _same(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    a, b = _flat(before), _flat(now)
    differ = [k for k in {**a, **b} if a.get(k) != b.get(k)]
    if differ:
        name = differ[0]
        raise UsageError(
            f"{path.parent} holds another training: {name} was {a.get(name)!r} and is now {b.get(name)!r}.\n"
            "  go on with the same words, or begin anew in another folder: -o DIR"
        )


def _flat(about: Mapping[str, Any]) -> dict[str, Any]:
    """Settings beside the rest."""
    return {**{k: v for k, v in about.items() if k != "settings"}, **about.get("settings", {})}
