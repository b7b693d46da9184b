"""What a training saves that makes only the logits which are told, some tokens at a time.

    python perf/told_logits.py [--updates 8] [--rounds 3]

A decoder and an encoder of ours (4 layers of width 256) with the 30,522 words of BERT, and a recurrent cell
(LSTM, 2 layers of 64) with 2,048; batches of 16 x 64 random tokens (the cell: 32 x 64), of which an encoder
tells 15 %. The same updates by our loop and by one by hand that makes all logits at once, in turns, each in
a process of its own, on one thread. Prints processor time an update and memory at the peak, medians, and the
ratios; the loss after the last update must be the same.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from untrained.nn.batch import Batch
from untrained.nn.numerics import quiet_numbers
from untrained.nn.transformer import LayerShape, Transformer, TransformerShape
from untrained.spaces.rnn_cell import RnnCell
from untrained.training.optimizer import adamw
from untrained.training.recipe import IGNORED, TrainingRecipe, told
from untrained.training.recipes.causal_lm import CausalLM
from untrained.training.recipes.masked_lm import MaskedLM, hidden

WORDS, CELL_WORDS = 30_522, 2_048
AGREE = 1e-3  # nats of rounding


def transformer(causal: bool) -> nn.Module:
    layers = tuple(LayerShape(heads=4, inner=(1_024,)) for _ in range(4))
    shape = TransformerShape(width=256, layers=layers, vocabulary=WORDS, positions=64, causal=causal)
    return Transformer(shape, torch.Generator().manual_seed(0))


def cell() -> nn.Module:
    space = RnnCell()
    scale = f"paper:vocabulary={CELL_WORDS},width=64,layers=2"
    return space.build(space.classic("lstm"), scale=scale, generator=torch.Generator().manual_seed(0))


CASES: dict[str, tuple[Callable[[], nn.Module], TrainingRecipe]] = {
    "decoder": (lambda: transformer(True), CausalLM(batch=16, length=64)),
    "encoder": (lambda: transformer(False), MaskedLM(batch=16, length=64)),
    "cell": (cell, CausalLM(batch=32, length=64)),
}


def batches(recipe: TrainingRecipe, words: int, number: int) -> list[Batch]:
    luck = torch.Generator().manual_seed(1)
    found = []
    for _ in range(number):
        ids = torch.randint(5, words, (recipe.batch, recipe.length + 1), generator=luck)
        if isinstance(recipe, MaskedLM):
            found.append(hidden(ids[:, :-1], recipe.mask, 4, luck))
        else:
            found.append(Batch(ids[:, :-1], ids[:, 1:]))
    return found


def updates(case: str, way: str, number: int) -> dict[str, float]:
    """Seconds an update, MiB at the peak, and the last loss."""
    made, recipe = CASES[case]
    with quiet_numbers():
        model = made().train()
        words = int(model.vocabulary)  # type: ignore[arg-type]
        optimizer = adamw(model, recipe)
        clock, value = [], torch.zeros(())
        for batch in batches(recipe, words, number):
            optimizer.zero_grad()
            if way == "ours":
                value = recipe.lost(model, batch) / told(batch.targets)
            else:
                value = cross_entropy(
                    model(batch.tokens).flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED
                )
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            clock.append(time.process_time())
    each = (clock[-1] - clock[0]) / (len(clock) - 1)  # the first is a warm-up
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    return {"seconds": each, "peak": peak, "loss": value.item()}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--updates", type=int, default=8)
    ask.add_argument("--rounds", type=int, default=3)
    asked = ask.parse_args()
    context = multiprocessing.get_context("spawn")
    for case in CASES:
        seen: dict[str, list[dict[str, float]]] = {"ours": [], "all at once": []}
        for _ in range(asked.rounds):
            for way, found in seen.items():
                with context.Pool(1) as pool:  # a process of its own: memory at the peak never falls
                    found.append(pool.apply(updates, (case, way, asked.updates)))
        middle = {
            way: {k: statistics.median(f[k] for f in found) for k in found[0]} for way, found in seen.items()
        }
        for way, m in middle.items():
            print(f"{case:8} {way:12} {1e3 * m['seconds']:7.1f} ms an update, {m['peak']:6,.0f} MiB", end="")
            print("" if way == "ours" else ratios(seen))
        losses = [m["loss"] for m in middle.values()]
        if max(losses) - min(losses) > AGREE:
            raise SystemExit(f"the losses differ: {losses}")


def ratios(seen: dict[str, list[dict[str, float]]]) -> str:
    pairs = list(zip(seen["ours"], seen["all at once"], strict=True))
    time_, peak = (statistics.median(a[k] / b[k] for a, b in pairs) for k in ("seconds", "peak"))
    return f"; ours / this: {time_:.2f} of the time, {peak:.2f} of the memory"


if __name__ == "__main__":
    main()
