"""Whether a stranger gets the same numbers: a process of its own loads the directory and computes logits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from untrained.core.errors import UntrainedError

CLOSE = 1e-5  # largest difference of a logit, or share of the largest logit where that is beyond 1
RUN_AWAY, USUAL = 1e3, 1e2  # logits of a cell that has left all bounds, and of one that has not
LOADER = """
import json, resource, sys, torch
{ours}from safetensors.torch import load_file, save_file
from transformers import AutoConfig, {auto}

def memory(what):
    # getrusage tells of the process that started this one too
    try:
        with open("/proc/self/status") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith(what))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

torch.set_num_threads(1)
config = AutoConfig.from_pretrained(sys.argv[1], local_files_only=True)
{auto}._model_mapping[type(config)]  # the family's code is loaded before memory is looked at
before = memory("VmRSS")
model = {auto}.from_pretrained(sys.argv[1], local_files_only=True, dtype=torch.float32).eval()
with torch.inference_mode():
    logits = model(load_file(sys.argv[2])["tokens"]).logits
save_file({{"logits": logits.float().contiguous()}}, sys.argv[3])
peak = memory("VmHWM")
print(json.dumps({{"peak_bytes": peak, "model_bytes": max(0, peak - before)}}))
"""


@dataclass(frozen=True)
class Look:
    """What a fresh process saw of a model directory."""

    logits: Tensor  # (B, T, V)
    peak_bytes: int
    """the most memory that the process took"""
    model_bytes: int
    """what of it came with the model: loading it in float32, and one pass"""


def reloaded(folder: Path, tokens: Tensor, *, auto: str, ours: bool) -> Tensor:
    """Logits (B, T, V) of tokens (B, T), from a process that knows the folder alone; see `look`."""
    return look(folder, tokens, auto=auto, ours=ours).logits


def look(folder: Path, tokens: Tensor, *, auto: str, ours: bool) -> Look:
    """A model directory as a process sees it that knows the folder alone: one pass over tokens (B, T).

    It imports untrained only where the model is one of `ours`, and has one thread. Raises UntrainedError
    where it does not load.
    """
    code = LOADER.format(auto=auto, ours="import untrained\n" if ours else "")
    with TemporaryDirectory(prefix="untrained-export-") as place:
        asked, told = Path(place) / "tokens.safetensors", Path(place) / "logits.safetensors"
        save_file({"tokens": tokens.contiguous()}, asked)
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder), str(asked), str(told)],
            capture_output=True,
            text=True,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"},
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise UntrainedError(f"a fresh process cannot load what was exported: {last}")
        return Look(load_file(told)["logits"], **json.loads(done.stdout.strip().splitlines()[-1]))


def difference(found: Tensor, wanted: Tensor, what: str) -> float:
    """The largest difference of a logit (B, T, V); raises UntrainedError where it is not below 1e-5.

    Where the largest logit is beyond 1, as a share of it: float32 has seven digits. The rounding of a cell
    that grows without bound grows along, so where logits pass 1,000, texts are compared up to 100.
    """
    if found.shape != wanted.shape:
        raise UntrainedError(f"{what} gives logits {tuple(found.shape)}, not {tuple(wanted.shape)}")
    grows = not bool((wanted.abs() <= RUN_AWAY).all())
    run_away = ~(wanted.abs() <= USUAL) if grows else torch.zeros_like(wanted, dtype=torch.bool)
    there = ~run_away.any(-1).cummax(-1).values if wanted.dim() == 3 else ~run_away.any(-1)
    if not bool(there.any()):
        raise UntrainedError(
            "the network's logits are beyond any use from the first token on: nothing to compare"
        )
    found, wanted = found[there].double(), wanted[there].double()
    share = float((found - wanted).abs().max() / max(1.0, float(wanted.abs().max())))
    if not share < CLOSE:
        raise UntrainedError(f"{what} gives other logits, by up to {share:.1e} where {CLOSE:.0e} is allowed")
    return share
