"""What labels buy, how far they carry, and what their noise allows: makes docs/labels.md.

    python perf/labels.py --data DIR --text FILE [--cache DIR] > docs/labels.md

Statistics are measured once and kept in --cache; with them the rest takes some minutes, most of it building
the transformers whose shape the prior reads.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

import untrained as ut
from untrained.apps.api import lab
from untrained.apps.calibrating import Calibration, calibrate
from untrained.apps.featuring import tabulate
from untrained.apps.labelled import Known, fitted_on, from_benchmark
from untrained.benchmarks import folder
from untrained.core.errors import UsageError
from untrained.core.metric import metric
from untrained.core.named import construct
from untrained.core.statistics import hard_pairs, kendall_tau
from untrained.metrics.features import features
from untrained.metrics.predictors.ridge_on_ranks import RidgeOnRanks
from untrained.nn.numerics import quiet_numbers

TRAINED = "nas_bench_bert:operation=attention,feed_forward=trained"
TABLES = {
    "cells, WikiText-2": ("nas_bench_nlp", "wikitext2_val_loss", None),
    "cells, Penn Treebank from WikiText-2 labels": ("nas_bench_nlp", "ptb_test_loss", "wikitext2_val_loss"),
    "BERT, read as trained": (TRAINED, "glue", None),
    "BERT, read as declared": ("nas_bench_bert", "glue", None),
    "GPT-2": ("lts_gpt2_wt103", "valid_ppl", None),
    "Transformer-XL": ("lts_transformer_xl_wt103", "valid_ppl", None),
}
SECOND_PRIOR = {"cells, WikiText-2", "cells, Penn Treebank from WikiText-2 labels"}  # fading_memory too
HEAD = "| labels | tau | 95 % | half | hard pairs | gain | 95 % | draws no worse | active |"
RESAMPLES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--cache", type=Path, default=Path("."))
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--only", default="", help="part of the names of the tables wanted")
    words = parser.parse_args()
    print(INTRODUCTION.format(text=Path(words.text).name, draws=words.draws))
    known: dict[str, Known] = {}
    for title, (benchmark, target, learn) in TABLES.items():
        if words.only not in title:
            continue
        for prior in (None, "fading_memory") if title in SECOND_PRIOR else (None,):
            table = read(words, benchmark, target, learn, prior)
            known[title if prior is None else f"{title}, above {prior}"] = table
    for title, table in known.items():
        curves(title, table, words.draws)
    others(known, words.draws)
    if not words.only:
        transfer(known)
    seconds(words)


def read(
    words: argparse.Namespace, benchmark: str, target: str, learn: str | None, prior: str | None
) -> Known:
    table = construct("benchmark", benchmark)
    place = lab(table.space, text=words.text)
    rows = table.read(folder(type(table), words.data), place.space).rows
    name = "".join(c if c.isalnum() else "_" for c in benchmark)
    measured = partial(tabulate, place, path=words.cache / f"{name}.csv")
    return from_benchmark(table, rows, place, target=target, learn=learn, prior=prior, measured=measured)


def half(arch: str) -> str:
    """By the id alone: the same for ever."""
    return "chosen on" if int(hashlib.sha256(f"labels/{arch}".encode()).hexdigest(), 16) % 2 == 0 else "kept"


def part(known: Known, which: str) -> Known:
    """Scored on are the networks of one half; labels come from both, never from what is scored on."""
    own = np.array([half(i) == which for i in known.ids])
    return replace(known, quality=np.where(own, known.quality, np.nan))


def curves(title: str, known: Known, draws: int) -> None:
    print(f"\n## {title}\n\nPrior `{known.prior}`. " + " ".join(f"{n.capitalize()}." for n in known.notes))
    for which in ("kept", "chosen on", "all"):
        found = within_room(known if which == "all" else part(known, which), draws)
        where = "all networks" if which == "all" else f"the half that was {which}"
        print(f"\nScored on {where}, {found.records[0]['tested']} in each draw:\n\n{HEAD}\n|{'---|' * 9}")
        for r in found.records:
            print("| " + " | ".join(cells(r)) + " |")
    print("\n" + noise(found))


def noise(found: Calibration) -> str:
    if (c := found.ceiling) is None:
        return "No ceiling: each network was trained once, so what label noise allows is not known."
    pairs = "" if c.hard_pairs is None else f" and {c.hard_pairs:.0%} of hard pairs"
    return (
        f"Ceiling: {c.networks} networks were trained more than once, with a standard deviation of"
        f" {c.noise:.3f} and tau {c.retest:.3f} between the first and the second training. A score that knew"
        f" the true quality would have tau {c.tau:.3f} ({c.tau_low:.2f} to {c.tau_high:.2f}) with such"
        f" labels, {c.tau_better_half:.3f} in the better half{pairs}."
    )


def within_room(known: Known, draws: int) -> Calibration:
    """20, 50 and 100 labels, or those of them that leave enough to be scored on."""
    for asked in ([20, 50, 100], [20, 50], [20]):
        try:
            return calibrate(known, labels=asked, draws=draws)
        except UsageError:
            continue
    raise SystemExit("too few networks")


def cells(r: dict) -> list[str]:
    gain = ["", "", ""]
    if r["labels"]:
        gain = [f"{r['gain']:+.3f}", f"{r['gain_low']:+.2f}..{r['gain_high']:+.2f}", f"{r['no_worse']:.0%}"]
    pairs = "" if r["hard_pairs"] is None else f"{r['hard_pairs']:.1%}"
    active = "" if r["active_tau"] is None else f"{r['active_tau']:.3f}"
    interval = f"{r['tau_low']:.2f}..{r['tau_high']:.2f}"
    return [
        str(r["labels"]),
        f"{r['tau']:.3f}",
        interval,
        f"{r['tau_better_half']:.3f}",
        pairs,
        *gain,
        active,
    ]


def others(known: dict[str, Known], draws: int) -> None:
    print(
        "\n## Other predictors\n\nAll networks, mean gain in tau over the prior with 20 and with 50 labels.\n"
    )
    print("| table | predictor | 20 | 50 |\n|---|---|---|---|")
    for title in filter(known.__contains__, ("cells, WikiText-2", "BERT, read as trained", "GPT-2")):
        for name in ("ridge_on_ranks", "gaussian_process", "pairwise"):
            found = calibrate(known[title], labels=[20, 50], draws=draws, predictor=name).records
            print(f"| {title} | {name} | {found[1]['gain']:+.3f} | {found[2]['gain']:+.3f} |")


def transfer(known: dict[str, Known]) -> None:
    print("\n## Labels of another table\n")
    print(
        "All labels of the first table, scored on all networks of the second that it does not have;"
        f" difference to the prior alone with its 95 % interval over {RESAMPLES} resamples of these"
        " networks. Learned from are the features that both have (the encoding too within one space).\n"
    )
    print("| labels of | scored on | tau, prior | tau | difference | hard pairs, prior | hard pairs |")
    print("|---|---|---|---|---|---|---|")
    names = ("BERT, read as trained", "BERT, read as declared", "GPT-2", "Transformer-XL")
    for first in names:
        for second in names:
            if first[:4] != second[:4]:
                print(
                    "| "
                    + " | ".join([first, second, *carried(fitted_on(known[first], known[second]))])
                    + " |"
                )


def carried(known: Known) -> list[str]:
    rows = np.flatnonzero(np.isfinite(known.label))
    test = np.flatnonzero(np.isfinite(known.quality))
    fitted = RidgeOnRanks(prior=0).fit(known.codes[rows], known.label[rows], known.codes)
    score, prior, truth = fitted.predict(known.codes[test])[0], known.codes[test, 0], known.quality[test]
    luck, gains = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        i = luck.choice(len(test), len(test))
        gains.append(kendall_tau(score[i], truth[i]) - kendall_tau(prior[i], truth[i]))
    low, high = np.quantile(gains, [0.025, 0.975])
    told = [kendall_tau(s, truth) for s in (prior, score)]
    gain = f"{told[1] - told[0]:+.3f} [{low:+.3f}, {high:+.3f}]"
    assert known.size is not None
    pairs = [hard_pairs(s, truth, known.size[test], min_gap=known.gap)[0] for s in (prior, score)]
    return [*(f"{t:.3f}" for t in told), gain, *("" if p is None else f"{p:.0%}" for p in pairs)]


def seconds(words: argparse.Namespace) -> None:
    """Processor seconds of one core: what else the machine does moves them little."""
    place = lab("rnn_cell", text=words.text)
    archs = [place.space.sample(ut.rng(seed)) for seed in range(31)]
    prior = metric("gated_memory")
    both, alone = [], []
    with quiet_numbers():
        for arch in archs:
            start = time.process_time()
            place.measure(arch, [prior])
            alone.append(time.process_time() - start)
            start = time.process_time()
            features(place.probe(arch, seed=0))
            both.append(time.process_time() - start)
    X = np.random.default_rng(0).normal(size=(1_000, 90))
    start = time.process_time()
    for _ in range(20):
        RidgeOnRanks(prior=0).fit(X[:100], X[:100, 0] + X[:100, 1], X).predict(X)
    fit = (time.process_time() - start) / 20
    print(
        "\n## Seconds\n\nProcessor time of one core, medians over 30 random cells at probe scale: the prior"
        f" {1e3 * np.median(alone[1:]):.0f} ms, the statistics {1e3 * np.median(both[1:]):.0f} ms a cell."
        f" Learning from 100 labels with 90 features and telling 1,000 networks takes {1e3 * fit:.0f} ms."
    )


INTRODUCTION = ""

if __name__ == "__main__":
    main()
