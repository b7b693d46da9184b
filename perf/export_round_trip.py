"""Random architectures of every language space and the recurrent classics, exported: how many come back.

Each is written at its true size with fresh weights, loaded by a fresh process, run in onnxruntime at two
shapes, and generates a text with and without its cache.

    python perf/export_round_trip.py --each 10 --onnx
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import AutoModelForCausalLM

import untrained as ut
from untrained.core.errors import UntrainedError
from untrained.core.named import construct
from untrained.nn.adapters.sources import quiet
from untrained.spaces.rnn_cell import CLASSICS, RnnCell

SPACES = {
    "rnn_cell": "paper",
    "bert_encoder": "paper",
    "bert_encoder:preset=large": "paper",
    "gpt_decoder": "paper:vocabulary=2048",
    "gpt_decoder:family=lts": "paper:vocabulary=2048",
    "gpt_decoder:family=lts_transformer_xl": "paper:vocabulary=2048",
}


def cached_agrees(folder: Path) -> str:
    """Whether `generate` gives the same tokens with and without the cache; a tie may fall either way."""
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder)
    prompt = torch.arange(10).view(2, 5)
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    kept, anew = (model.generate(prompt, use_cache=use, **options) for use in (True, False))
    return "same" if torch.equal(kept, anew) else "differs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=6, help="random architectures of each space")
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--scale", help="instead of those of the table in this file")
    asked = parser.parse_args()
    cases = [("classic", RnnCell.classic(name), "paper") for name in sorted(CLASSICS)]
    for name, scale in SPACES.items():
        space = construct("space", name)
        cases += [(name, space.sample(ut.rng(seed)), scale) for seed in range(asked.each)]
    told: Counter[str] = Counter()
    print(f"{'space':38} {'model type':18} {'params':>12} {'fresh':>8} {'onnx':>8} {'cache':>7} {'s':>5}")
    for name, arch, scale in cases:
        started = time.perf_counter()
        with TemporaryDirectory() as place:
            try:
                made = ut.export(arch, Path(place) / "model", scale=asked.scale or scale, onnx=asked.onnx)
            except UntrainedError as error:
                told["failed"] += 1
                print(f"{name:38} {arch.id} failed: {error}", flush=True)
                continue
            causal = made.auto == "AutoModelForCausalLM"
            cache = cached_agrees(made.path) if causal else ""
        told["came back"] += 1
        told[f"cache {cache}"] += causal
        onnx = "" if made.onnx is None else f"{made.onnx:.1e}"
        print(
            f"{name:38} {made.model_type:18} {made.params:12,} {made.difference:8.1e} {onnx:>8} {cache:>7}"
            f" {time.perf_counter() - started:5.0f}",
            flush=True,
        )
    print(", ".join(f"{what}: {n}" for what, n in sorted(told.items())), f"of {len(cases)}")


if __name__ == "__main__":
    main()
