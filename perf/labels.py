"""What labels buy, how far they carry, and what their noise allows: makes docs/labels.md.

    python perf/labels.py --data DIR --text FILE [--cache DIR] > docs/labels.md

Statistics are measured once and kept in --cache; with them the rest takes some minutes, most of it building
the transformers whose shape the prior reads.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

import untrained as ut
from untrained.apps.api import lab
from untrained.apps.calibrating import Calibration, calibrate
from untrained.apps.carrying import holds_beyond
from untrained.apps.featuring import tabulate
from untrained.apps.labelled import Known, fitted_on, from_benchmark
from untrained.benchmarks import folder
from untrained.core.errors import MeasurementFailed, UsageError
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
HEAD = (
    "| labels | tau | half | hard pairs | gain | by draw | by network | hard pairs gained | by network |"
    " draws no worse | active |"
)
DEFAULT = "ridge_on_ranks"
CAREFUL = "ridge_on_ranks:careful=true"
RESAMPLES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--cache", type=Path, default=Path("."))
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--only", default="", help="part of the names of the tables wanted")
    words = parser.parse_args()
    known: dict[str, Known] = {}
    for title, (benchmark, target, learn) in TABLES.items():
        if words.only not in title:
            continue
        for prior in (None, "fading_memory") if title in SECOND_PRIOR else (None,):
            table = read(words, benchmark, target, learn, prior)
            known[title if prior is None else f"{title}, above {prior}"] = table
    print(INTRODUCTION.format(text=Path(words.text).name, draws=words.draws))
    told = {title: curves(title, table, words.draws) for title, table in known.items()}
    never_worse(known, told, words.draws)
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


def curves(title: str, known: Known, draws: int) -> dict[str, list[dict]]:
    """Prints the tables of one benchmark; the records by half."""
    print(f"\n## {title}\n\nPrior `{known.prior}`.")
    told = {}
    for which in ("kept", "chosen on", "all"):
        table = known if which == "all" else part(known, which)
        found = within_room(table, draws)
        where = "all networks" if which == "all" else f"the half that was {which}"
        print(
            f"\nScored on {where}, {found.records[0]['tested']} in each draw; {hard_among(table)} hard pairs:"
        )
        print(f"\n{HEAD}\n|{'---|' * 11}")
        for r in found.records:
            print("| " + " | ".join(cells(r)) + " |", flush=True)
        told[which] = found.records
    print("\n" + noise(found))
    return told


def hard_among(known: Known) -> int:
    """Hard pairs of all networks that may be scored on."""
    rows = np.flatnonzero(np.isfinite(known.quality))
    assert known.size is not None
    return hard_pairs(known.quality[rows], known.quality[rows], known.size[rows], min_gap=known.gap)[1]


def noise(found: Calibration) -> str:
    if (c := found.ceiling) is None:
        return "No ceiling: each network was trained once, so what label noise allows is not known."
    pairs = "" if c.hard_pairs is None else f" and {c.hard_pairs:.0%} of hard pairs"
    return (
        f"Noise: {c.networks} networks were trained more than once, {c.noise:.3f} apart (1.4826 median"
        f" deviations). Among these, two trainings of one network have tau {c.retest:.3f}, the prior and one"
        f" training {c.prior or 0.0:.3f}. Ceiling: were all as noisy as twins of their quality, a score that"
        f" knew the true quality would have tau {c.tau:.3f} ({c.tau_low:.2f} to {c.tau_high:.2f}) with such"
        f" labels, {c.tau_better_half:.3f} in the better half{pairs}."
    )


def within_room(known: Known, draws: int, predictor: str = DEFAULT) -> Calibration:
    """20, 50 and 100 labels, or those of them that leave enough to be scored on."""
    for asked in ([20, 50, 100], [20, 50], [20]):
        try:
            return calibrate(known, labels=asked, draws=draws, predictor=predictor)
        except UsageError:
            continue
    raise SystemExit("too few networks")


def cells(r: dict) -> list[str]:
    pairs = "" if r["hard_pairs"] is None else f"{r['hard_pairs']:.1%}"
    found = [str(r["labels"]), f"{r['tau']:.3f}", f"{r['tau_better_half']:.3f}", pairs]
    if not r["labels"]:
        return [*found, *[""] * 7]
    by_draw, by_network = (f"{r[f'{n}_low']:+.2f}..{r[f'{n}_high']:+.2f}" for n in ("gain", "gain_networks"))
    hard = ["", ""]
    if r["hard_gain"] is not None:
        hard = [f"{r['hard_gain']:+.1%}", f"{r['hard_gain_low']:+.0%}..{r['hard_gain_high']:+.0%}"]
    active = "" if r["active_tau"] is None else f"{r['active_tau']:.3f}"
    return [*found, f"{r['gain']:+.3f}", by_draw, by_network, *hard, f"{r['no_worse']:.0%}", active]


def never_worse(known: dict[str, Known], told: dict[str, dict[str, list[dict]]], draws: int) -> None:
    print(
        f"\n## Never worse\n\nThe default against `{CAREFUL}`, which moves from the prior only where"
        " the labels, each left out, say that it gains. Mean gain in tau, that in hard pairs, and the share"
        " of draws without a loss of tau.\n"
    )
    print("| table | half | labels | default | pairs | no worse | careful | pairs | no worse |")
    print(f"|{'---|' * 9}")
    for title, table in known.items():
        for which in ("kept", "chosen on"):
            careful = within_room(part(table, which), draws, CAREFUL).records
            for one, other in zip(told[title][which][1:], careful[1:], strict=True):
                print(f"| {title} | {which} | {one['labels']} | {brief(one)} | {brief(other)} |")


def brief(r: dict) -> str:
    hard = "" if r["hard_gain"] is None else f"{r['hard_gain']:+.1%}"
    return f"{r['gain']:+.3f} | {hard} | {r['no_worse']:.0%}"


def others(known: dict[str, Known], draws: int) -> None:
    print(
        "\n## Other predictors\n\nAll networks, mean gain in tau over the prior with 20 and with 50 labels.\n"
    )
    print("| table | predictor | 20 | 50 |\n|---|---|---|---|")
    for title in filter(known.__contains__, ("cells, WikiText-2", "BERT, read as trained", "GPT-2")):
        for name in (DEFAULT, "gaussian_process", "pairwise"):
            found = calibrate(known[title], labels=[20, 50], draws=draws, predictor=name).records
            print(f"| {title} | {name} | {found[1]['gain']:+.3f} | {found[2]['gain']:+.3f} |")


def transfer(known: dict[str, Known]) -> None:
    print("\n## Labels of another table\n")
    print(
        "All labels of the first table, scored on all networks of the second that it does not have;"
        f" difference to the prior alone with its 95 % interval over {RESAMPLES} resamples of these"
        " networks. Learned from are the features that both have (the encoding too within one space). The"
        " numbers are those of what was learned; `calibrate` takes it only where it holds beyond the range of"
        " its own table (last column), and the prior alone elsewhere.\n"
    )
    print(
        "| labels of | scored on | tau, prior | tau | difference | hard pairs, prior | hard pairs | taken |"
    )
    print("|---|---|---|---|---|---|---|---|")
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
    taken = holds_beyond(known, partial(RidgeOnRanks, prior=0), rows)
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
    share = ["" if p is None else f"{p:.0%}" for p in pairs]
    return [*(f"{t:.3f}" for t in told), gain, *share, "yes" if taken else "no"]


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
            with suppress(MeasurementFailed):  # a cell that explodes costs its pass too
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


INTRODUCTION = """\
# What labels buy

`untrained calibrate BENCHMARK` learns from N trained networks and is scored on networks it never saw. This
page is that command on every table at hand, with `ridge_on_ranks`, the default: a linear correction to a
score without labels (the prior), with a penalty that was set beforehand, so that nothing but the correction
itself is fitted to the labels.

- labels: trained networks that were learned from; 0 is the prior alone.
- tau, half, hard pairs: agreement on the networks scored on, mean over {draws} draws; half: tau in the
  better half; hard pairs: of networks of equal size (5 %) whose truths differ, the share put in the right
  order. A network counts once, with the mean of its trainings, so none has a twin among the labelled.
- gain, hard pairs gained: beyond the prior in the same draw.
- by draw: 95 % quantiles over draws; they tell the luck of which networks are labelled. by network: 95 % of
  the mean over draws, resampled over the networks scored on; it tells the luck of the table.
- draws no worse: share of the draws without a loss of tau.
- active: tau where the predictor chose by itself which networks to label, by largest deviation.

**Halves.** Which networks are in which half says the SHA-256 of "labels/" and the id. The form of the
predictor (penalty, scores of labels, gate or none) and the prior of cells were chosen on one half alone, of
each table; some 400 forms were tried there, most of them alike. The other half was looked at when the form
stood, and nothing was changed after; but one run over all cells with a smaller penalty (1), which did harm
from the encoding alone, had sent us back to the chosen half before. Labels may come from both halves.
A second round tried 105 more forms on the chosen half, against harm where the prior is good already: gates
by error and by order, the evidence against no correction, a floor of noise, labels on the scale of the prior
itself, a smooth bend of the prior, features without what the prior says, encoding and statistics apart.
None did less harm without taking as much from cells or encoders, and none differed from the default beyond
the luck of the table, so the default is what it was. `careful` is one of them. The kept half was looked at
once, after that.
The priors are older: their cards say on which of these networks they were chosen, and `gated_memory` and
`rank_and_reuse` have seen some networks of the kept halves.

## What it comes to

- **Cells.** Without labels `gated_memory` is ahead of `fading_memory` over all networks (0.72 and 0.71; 0.50
  and 0.36 in the better half), most of it where it was chosen: on the kept half it has 0.66 and 0.69 (0.38
  and 0.37). Labels add 0.01, 0.01 and 0.03 to it (20, 50 and 100), and 0.02, 0.03 and 0.04 to
  `fading_memory`; both reach 0.75. So 20 labels are worth about the choice of the better score. On the
  kept half `fading_memory` loses 0.003 with 20. By network only the gains above `fading_memory` with 50 and
  100 labels stay above 0, barely; the rest is within the luck of the table.
- **Penn Treebank from WikiText-2 labels.** Nothing above `gated_memory`; 0.01 to 0.03 above
  `fading_memory`. On the kept half 0.00 to 0.03 above the first, and a loss of 0.00 to 0.02 from the second,
  which is within the luck of the table too, and comes with 2 to 4 points more of the hard pairs.
- **BERT, read as trained.** Over all networks 0.01 to 0.02 in tau and 2 to 5 points of the hard pairs, on the
  kept half less in tau and more in pairs. Read as declared a third of that. Among the networks that were
  trained more than once the prior agrees with one training as well as another training does.
- **Decoders.** Nothing to gain: the prior is at 0.91 and 0.92, and 20 or 50 labels move it by 0.005 at most,
  up or down. Nor is there a loss that could be told from luck. On the kept halves 50 labels cost 3.4 and 2.5
  points of the hard pairs, but there are 29 and 32 such pairs: about one pair each. Over all networks, with
  121 and 157 pairs, labels cost none and gain up to 1.7 points.
- **Never worse.** The default is a bet: it pays in the mean over tables, and loses in many draws where there
  is little to gain. With `careful=true` labels move the order only where they prove a gain by themselves: in
  no table, half or number of labels does the mean fall by more than 0.003, with 20 labels 95 to 100 % of the
  draws have no loss, and on decoders and encoders the means lose nothing, in tau or in pairs. The price is
  what labels bring: with 20 nearly all of it, with 100 two thirds of the tau and half of the pairs. Twenty
  labels cannot prove a gain of 0.02. Whoever cannot afford to lose takes it, or the prior alone.
- **Another table's labels** do not help, whichever the two. What was learned does harm in nine of ten
  cases, in seven beyond luck. In none does it hold beyond the range of its own table, so `calibrate` takes
  the prior alone in all ten. Each table is on its own scale here; when both were on one, the harm was up to
  0.02 to decoders (0.05 now) and up to 0.06 to encoders (0.01 now).
- What label noise allows is far above all this on cells; what is missing there is knowledge of the cells,
  not labels. Of the decoders each was trained once, so nobody can say.

Made by `python perf/labels.py --data ../shared/data --text ../shared/data/text/{text} --draws {draws}`;
scale probe, one draw of weights, text: {text}.
"""

if __name__ == "__main__":
    main()
