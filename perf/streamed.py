"""Peak memory of calibrating a parent layer by layer, against loading it whole and running it.

A Llama-shaped parent with random weights is written to a temporary folder; each way is a process of its own.

python perf/streamed.py [--width 768] [--layers 12] [--tokens 512]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import LlamaConfig

from untrained.nn import hf
from untrained.nn.adapters.sources import drawn_from
from untrained.nn.pretrained.parent import parent_at


def peak_mib() -> float:
    """Of this process since it began; getrusage tells of the one that started it too."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise SystemExit("this system does not tell the memory of a process")


def write(folder: Path, width: int, layers: int) -> int:
    """A parent on disk; its parameters."""
    config = LlamaConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 128,
        intermediate_size=8 * width // 3 // 32 * 32,
        vocab_size=8_192,
        max_position_embeddings=2_048,
        bos_token_id=None,
        eos_token_id=None,
    )
    with drawn_from(torch.Generator().manual_seed(0)):
        model = hf.build(config)
        model.save_pretrained(folder, max_shard_size="100MB")
    return sum(w.numel() for w in model.parameters())


def run(way: str, folder: Path, tokens: int) -> None:
    """What a process does: prints its peak before and after, and seconds."""
    torch.set_num_threads(1)
    parent = parent_at(str(folder))
    shown = torch.randint(8_192, (tokens // 128, 128), generator=torch.Generator().manual_seed(1))
    before, start = peak_mib(), time.perf_counter()
    if way == "streamed":
        parent._measured(shown)
    else:
        net = parent.build(parent.whole())
        with torch.inference_mode():
            net.base_model(shown, use_cache=False)
    print(json.dumps({"before": before, "peak": peak_mib(), "seconds": time.perf_counter() - start}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--way", choices=["streamed", "whole"])
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.way:
        run(asked.way, asked.folder, asked.tokens)
        return
    with tempfile.TemporaryDirectory() as place:
        count = write(Path(place), asked.width, asked.layers)
        print(f"{count:,} parameters, {4 * count / 2**20:.0f} MiB in float32; {asked.tokens} tokens")
        extra = {}
        for way in ("streamed", "whole"):
            command = [sys.executable, __file__, "--way", way, "--folder", place]
            command += ["--tokens", str(asked.tokens)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            extra[way] = found["peak"] - found["before"]
            print(f"{way}: {extra[way]:.0f} MiB more than before, {found['seconds']:.1f} s")
        print(f"ratio of memory: {extra['streamed'] / extra['whole']:.2f}")


if __name__ == "__main__":
    main()
