"""What an update costs in our trainer, in a loop written by hand, and in the Trainer of transformers.

    python perf/training.py [--steps 20] [--rounds 3] [--json]

A Llama-like decoder of 0.8 million weights (4 layers of 128 channels) on batches of 16 x 64 bytes of the
built-in text, float32, one thread, AdamW with clipping, constant rate, no decay. The three take turns; each
round trains a fresh copy from the same weights. Times are processor time, medians over rounds; the losses on
the batch after the last update must be the same in all three. A checkpoint is timed apart, by the clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from untrained.nn.adapters.sources import built, quiet, transformers
from untrained.nn.numerics import quiet_numbers
from untrained.training import checkpoint
from untrained.training.data.language import Language, from_files
from untrained.training.data.tokenizer import Bytes
from untrained.training.optimizer import adamw
from untrained.training.recipes.causal_lm import CausalLM
from untrained.training.trainer import fit

AGREE = 1e-3  # nats of rounding


def model() -> nn.Module:
    """The same weights each time."""
    config = transformers().LlamaConfig(
        vocab_size=260,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
    )
    return built(config, torch.Generator().manual_seed(0))


def ours(recipe: CausalLM, data: Language) -> tuple[float, float]:
    """(seconds an update, loss on the batch after the last one); without the examinations at both ends."""
    clock: list[float] = []
    found = fit(model(), recipe, data, progress=lambda *_: clock.append(time.process_time()))
    return _each(clock), _after(found.model, recipe, data)


def by_hand(recipe: CausalLM, data: Language) -> tuple[float, float]:
    """The loop that everybody writes first."""
    net = model().train()
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=recipe.peak_lr, betas=(recipe.beta1, recipe.beta2), weight_decay=0.0
    )
    clock = []
    for step in range(recipe.steps):
        batch = recipe.lesson(data, step)
        loss = cross_entropy(net(batch.tokens).logits.flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
        optimizer.step()
        clock.append(time.process_time())
    return _each(clock), _after(net, recipe, data)


class InOrder(torch.utils.data.IterableDataset[dict[str, torch.Tensor]]):
    """Our batches, sequence by sequence."""

    def __init__(self, recipe: CausalLM, data: Language) -> None:
        self.recipe, self.data = recipe, data

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for step in range(self.recipe.steps):
            batch = self.recipe.lesson(self.data, step)
            for tokens, targets in zip(batch.tokens, batch.targets, strict=True):
                whole = torch.cat([tokens, targets[-1:]])
                yield {"input_ids": whole, "labels": whole}


def theirs(recipe: CausalLM, data: Language) -> tuple[float, float]:
    """`transformers.Trainer`, with nothing saved or reported."""
    package = transformers()
    clock: list[float] = []

    class Clock(package.TrainerCallback):  # type: ignore[misc,name-defined]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")
        arguments = package.TrainingArguments(
            output_dir=folder,
            max_steps=recipe.steps,
            per_device_train_batch_size=recipe.batch,
            learning_rate=recipe.peak_lr,
            lr_scheduler_type="constant",
            weight_decay=0,
            adam_beta1=recipe.beta1,
            adam_beta2=recipe.beta2,
            max_grad_norm=recipe.clip,
            logging_steps=recipe.steps,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        )
        net = model()
        trainer = package.Trainer(net, arguments, train_dataset=InOrder(recipe, data), callbacks=[Clock()])
        trainer.remove_callback(package.PrinterCallback)
        trainer.train()
    return _each(clock), _after(net, recipe, data)


def _each(clock: list[float]) -> float:
    """Seconds from one update to the next; the first is a warm-up, and after the last we examine."""
    return (clock[-2] - clock[0]) / (len(clock) - 2)


def _after(net: nn.Module, recipe: CausalLM, data: Language) -> float:
    """The loss on the next batch."""
    batch = recipe.lesson(data, recipe.steps)
    with torch.no_grad():
        return float(cross_entropy(net.eval()(batch.tokens).logits.flatten(0, 1), batch.targets.flatten()))


def keeping(recipe: CausalLM) -> float:
    """Seconds to write a checkpoint to the disk."""
    net = model()
    optimizer = adamw(net, recipe)
    for weight in net.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        checkpoint.save(Path(folder) / "checkpoint.safetensors", net, optimizer, checkpoint.State(), {}, {})
        return time.perf_counter() - start


WAYS: dict[str, Callable[[CausalLM, Language], tuple[float, float]]] = {
    "ours": ours,
    "by hand": by_hand,
    "transformers": theirs,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    args = parser.parse_args()
    data = from_files(None, Bytes())
    recipe = CausalLM(
        steps=args.steps,
        batch=16,
        length=64,
        schedule="constant",
        warmup=0,
        weight_decay=0,
        eval_every=args.steps,
        eval_windows=1,
        log_every=args.steps,
    )
    with quiet_numbers():
        runs = [{name: way(recipe, data) for name, way in WAYS.items()} for _ in range(args.rounds)]
        kept = statistics.median(keeping(recipe) for _ in range(args.rounds))
    seconds = {name: statistics.median(run[name][0] for run in runs) for name in WAYS}
    ratio = {name: statistics.median(r["ours"][0] / r[name][0] for r in runs) for name in WAYS}
    losses = {name: runs[0][name][1] for name in WAYS}
    found = {"seconds": seconds, "ours_over": ratio, "losses": losses, "checkpoint_seconds": kept}
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        for name in WAYS:
            print(f"{name:13}{1e3 * seconds[name]:8.1f} ms an update  {losses[name]:.5f} nats", end="")
            print(f"  ours / this: {ratio[name]:.2f}")
        print(f"a checkpoint {1e3 * kept:8.1f} ms")
    if max(losses.values()) - min(losses.values()) > AGREE:
        raise SystemExit(f"the losses differ: {losses}")


if __name__ == "__main__":
    main()
