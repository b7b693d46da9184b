"""Small parents for pruning: a Llama-like, a Qwen3-like and a GPT-2-like decoder on bytes of English.

Trained with the recipe `causal_lm` until they clearly beat counting single bytes and pairs of bytes on text
that they have not seen. What is in the folder already is not trained again; a training that was stopped goes
on. One thread.

python perf/parents.py --data DIR -o FOLDER [--only llama] [--steps N]

DIR holds text/wikitext2_valid.txt and text/wikitext2_test.txt (`--train` and `--held-out` name other files).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, LlamaConfig, Qwen3Config

from untrained.apps.training import train
from untrained.core.bytes import VOCABULARY

WIDTH, LAYERS, HEADS, CONTEXT = 128, 6, 8, 256
COMMON = {
    "vocab_size": VOCABULARY,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
SHAPE = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS // 2,
    "intermediate_size": 384,
    "tie_word_embeddings": True,
}
CLEARLY = 0.1  # nats a byte below counting pairs
STEPS = {"gpt2": 2500}  # positions that are learned take longer
RECIPE = "causal_lm:steps={steps},batch=4,length=128,peak_lr={lr},eval_every=100,eval_windows=32"


def configurations() -> dict[str, Any]:
    """Of 1.1 to 1.4 million parameters."""
    return {
        "llama": LlamaConfig(**COMMON, **SHAPE),
        "qwen3": Qwen3Config(**COMMON, **SHAPE, head_dim=32),
        "gpt2": GPT2Config(
            **COMMON,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            n_inner=4 * WIDTH,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        ),
    }


def made(name: str, folder: Path, text: Path, held_out: Path, steps: int, lr: float) -> dict[str, Any]:
    """What became of a training, from its folder where it has ended."""
    place = folder / name
    result = place / "result.json"
    if not result.is_file():
        start = time.perf_counter()
        train(
            configurations()[name],
            RECIPE.format(steps=steps, lr=lr),
            text=text,
            validation=held_out,
            tokenizer="bytes",
            out=place,
            resume=place.exists(),
        )
        print(f"{name}: {time.perf_counter() - start:.0f} s in this run", flush=True)
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", default="text/wikitext2_valid.txt")
    parser.add_argument("--held-out", default="text/wikitext2_test.txt")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", choices=["llama", "qwen3", "gpt2"], action="append")
    parser.add_argument("--steps", type=int, help="for all; else 400, and 2500 for gpt2")
    parser.add_argument("--lr", type=float, default=3e-3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = asked.only or list(configurations())
    for name in names:
        text, held = asked.data / asked.train, asked.data / asked.held_out
        found = made(name, asked.output, text, held, asked.steps or STEPS.get(name, 400), asked.lr)
        marks, counted = found["marks"], found["baselines"]
        print(
            f"{name}: {found['params']:,} parameters, {found['step']} steps, {found['seconds']:.0f} s;"
            f" held out {marks['loss']:.3f} nats a byte, pairs {counted['bigram']:.3f},"
            f" single bytes {counted['unigram']:.3f}"
        )
        if not marks["loss"] < counted["bigram"] - CLEARLY:
            raise SystemExit(f"{name} does not clearly beat counting pairs of bytes; train it for longer")


if __name__ == "__main__":
    main()
