"""The learning rates of our own benchmarks: a grid, on networks outside the samples.

    python perf/benchmark_rates.py bench_decoder --data DIR [--share 0.33] [--networks 3] [--rates 4e-3,8e-3]

Trains the first few networks of each band that seed 999 draws, for a share of the recipe's updates, and
prints the held-out loss of each with the mean by rate. `apps/making/families.py` has what was chosen.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from math import inf
from statistics import fmean

from untrained.apps.making.corpus import corpus
from untrained.apps.making.families import OUTSIDE, Family, family
from untrained.apps.making.plan import Job, drawn
from untrained.apps.making.running import recipe_of
from untrained.apps.probing import generator
from untrained.training.data.language import Language
from untrained.training.trainer import Diverged, fit


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("family")
    ask.add_argument("--data")
    ask.add_argument("--share", type=float, default=1 / 3)
    ask.add_argument("--networks", type=int, default=3)
    ask.add_argument("--rates", default="2e-3,4e-3,8e-3")
    ask.add_argument("--band", action="append", help="only this one; may be repeated")
    asked = ask.parse_args()
    made, data = family(asked.family), corpus(family(asked.family).texts, asked.data)
    made = times(made, asked.share)
    rates = [float(r) for r in asked.rates.split(",")]
    archs = drawn(made.opened(), made, OUTSIDE, {b.name: asked.networks for b in made.bands})
    for band in (b for b in made.bands if not asked.band or b.name in asked.band):
        losses = {
            rate: [loss(made, Job(a, band.name, 0, rate), data) for a in archs[band.name]] for rate in rates
        }
        for rate, found in losses.items():
            said = ", ".join(f"{v:.3f}" for v in found)
            print(f"{made.name} {band.name} peak_lr {rate:g}: mean {fmean(found):.3f} ({said})", flush=True)
        print(f"{made.name} {band.name} best: {best(losses):g}", flush=True)


def best(losses: dict[float, list[float]]) -> float:
    """The rate with the lowest mean."""
    return min(losses, key=lambda rate: fmean(losses[rate]))


def times(made: Family, share: float) -> Family:
    """The family with so many times its updates, and no examination before the end."""
    steps = round(made.settings["steps"] * share)
    return replace(made, settings={**made.settings, "steps": steps, "eval_every": steps, "log_every": steps})


def loss(made: Family, job: Job, data: Language) -> float:
    """Held out, at the end; infinite where it diverges."""
    model = made.opened().build(job.arch, scale=made.scale, generator=generator(job.seed))
    try:
        return float(fit(model, recipe_of(made, job), data).curve[-1]["held_out"]["loss"])
    except Diverged:
        return inf


if __name__ == "__main__":
    main()
