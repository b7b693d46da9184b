"""A model directory as a process sees it that has never met it: what it says, and in how much memory.

python -m untrained.apps.fresh DIR TOKENS.safetensors LOGITS.safetensors

Prints one JSON object. `import untrained` is all that a model of ours needs to be loaded.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from untrained.core.errors import UntrainedError

LIMIT = 1_800  # seconds that a look may take


@dataclass(frozen=True)
class Look:
    """What a fresh process saw."""

    peak_bytes: int
    """most memory of the process"""
    model_bytes: int
    """of these, what came with loading and running the model"""
    logits: Any
    """(B, T, V)"""


def look(folder: Path, tokens: Any) -> Look:
    """Loads a directory in a process of its own and runs it over tokens (B, T).

    Raises UntrainedError, with what that process said, where it cannot.
    """
    from safetensors.torch import load_file, save_file

    with tempfile.TemporaryDirectory() as place:
        shown, seen = Path(place) / "tokens.safetensors", Path(place) / "logits.safetensors"
        save_file({"tokens": tokens.contiguous()}, shown)
        command = [sys.executable, "-m", "untrained.apps.fresh", str(folder), str(shown), str(seen)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired:
            raise UntrainedError(f"{folder} was not loaded within {LIMIT} s") from None
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise UntrainedError(f"a fresh process cannot load {folder}: {said}")
        found = json.loads(done.stdout.strip().splitlines()[-1])
        return Look(**found, logits=load_file(seen)["logits"])


def main(folder: str, shown: str, seen: str) -> None:
    """What the other process does."""
    import torch
    from safetensors.torch import load_file, save_file

    import untrained  # noqa: F401 (lists our model types)

    transformers: Any = import_module("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    tokens = load_file(shown)["tokens"]
    auto = transformers.AutoModelForCausalLM
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    auto._model_mapping[type(config)]  # imports the family before memory is looked at
    before = _now()
    model = auto.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits = model(tokens, use_cache=False).logits
    save_file({"logits": logits.contiguous()}, seen)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"peak_bytes": peak, "model_bytes": max(0, peak - before)}))


def _now() -> int:
    """Resident bytes of this process; where the system does not say, its peak so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
