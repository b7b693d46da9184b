"""The page of verdicts: every score on our own benchmarks, inside bands of one size.

    python perf/verdict.py --scores FOLDER [--workers K] [--kept] --write docs/verdict.md

Scores are kept in FOLDER, so that a run that is stopped goes on; with --kept the page is made of what is
there. `--only bench_rnn --below 5.2` asks the same of the trainings that learned more than how frequent
words are.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from untrained.apps.correlation import plain_orders
from untrained.apps.leaderboard.kept import called
from untrained.apps.leaderboard.measuring import Works, planned, taken
from untrained.apps.leaderboard.tables import opened
from untrained.apps.making.worth import Worth, released, worths
from untrained.apps.probing import resolve
from untrained.core import registry
from untrained.core.bands import bootstrap_in_bands, paired_in_bands, tau_in_bands
from untrained.core.benchmark import Benchmark
from untrained.core.files import write_whole
from untrained.core.metric import Metric
from untrained.core.resampling import PairedTest
from untrained.core.statistics import hard_pairs, holm, kendall_tau, paired_hard_pairs, paired_test
from untrained.core.text import load

BOARDS = {"bench_rnn": "Cells", "bench_decoder": "Decoders", "bench_encoder": "Encoders"}
TESTS = 10_000  # resamples of a p-value
LEVEL = 0.05
SIZE = "params_nonembedding"
ENDED = "ended"  # the truth that every training has: 1, or 0 for one that diverged

Real = npt.NDArray[np.float64]
Bounds = Mapping[str, tuple[float, float]]
"""intervals of taus in bands, by score or plain order"""


@dataclass(frozen=True)
class Family:
    """A benchmark with everything that is known of its networks, a row a training."""

    name: str
    columns: Mapping[str, Real]
    """scores in their own direction, NaN where there is none"""
    plain: Mapping[str, Real]
    """sizes and simple orders, more taken as better"""
    truths: Mapping[str, Real]
    """target -> quality, NaN where a training diverged; `ENDED` for whether it did not"""
    bands: npt.NDArray[np.str_]
    ids: npt.NDArray[np.str_]
    sizes: Real
    """non-embedding parameters"""
    seconds: Mapping[str, float]
    worth: Sequence[Worth]
    gap: float

    def known(self, *scores: Real, target: str = "loss") -> tuple[Any, ...]:
        """Scores, quality, bands and ids of the rows that have them all.

        Whether a training ends is asked of every network: one without a score is never chosen.
        """
        if target == ENDED:
            scores = tuple(rankdata(np.where(np.isnan(s), -np.inf, s)) for s in scores)
        use = self.ranked(*scores, target=target)
        return *(s[use] for s in scores), self.truths[target][use], self.bands[use], self.ids[use]

    def tau(self, score: Real, target: str = "loss") -> float:
        return tau_in_bands(*self.known(score, target=target))

    def interval(self, score: Real, target: str = "loss") -> tuple[float, float]:
        return bootstrap_in_bands(*self.known(score, target=target))

    def versus(self, one: Real, other: Real, target: str = "loss") -> PairedTest:
        """Tau in bands of the one minus that of the other, where both have a number."""
        return paired_in_bands(*self.known(one, other, target=target), draws=TESTS)

    def hard(self, score: Real) -> float:
        """Share of the hard pairs in the right order."""
        use = self.ranked(score)
        return hard_pairs(score[use], self.truths["loss"][use], self.sizes[use], min_gap=self.gap)[0] or 0.0

    def ranked(self, *scores: Real, target: str = "loss") -> npt.NDArray[np.bool_]:
        """Rows with the truth and all of the scores."""
        return np.asarray(np.isfinite([self.truths[target], *scores]).all(0))

    @property
    def failed(self) -> int:
        """Trainings that diverged."""
        return int((self.truths[ENDED] == 0).sum())

    @property
    def best_plain(self) -> str:
        return max(sorted(self.plain), key=lambda name: self.tau(self.plain[name]))

    @property
    def best_score(self) -> str:
        return max(sorted(self.columns), key=lambda name: self.tau(self.columns[name]))


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--scores", type=Path, required=True)
    ask.add_argument("--workers", type=int)
    ask.add_argument("--kept", action="store_true")
    ask.add_argument("--only", choices=sorted(BOARDS), action="append")
    ask.add_argument("--below", type=float, default=inf, metavar="LOSS", help="leave out what ended at more")
    ask.add_argument("--write", type=Path)
    asked = ask.parse_args()
    asked.scores.mkdir(parents=True, exist_ok=True)
    metrics = resolve(["all"])
    there = [name for name in BOARDS if name in registry.names("benchmark")]
    families = [family(name, metrics, asked) for name in asked.only or there]
    page = (
        "\n\n".join(["# Verdicts", INTRODUCTION, claims(families), HEADINGS, *map(section, families)]) + "\n"
    )
    if asked.write:
        write_whole(asked.write, page)
    else:
        print(page)


def family(name: str, metrics: Sequence[Metric], asked: argparse.Namespace) -> Family:
    """A benchmark, with its scores measured or taken."""
    board = opened(name, name, data=None, limit=None, scale="probe", text=load(), device="cpu")
    learned = (r for r in board.table if r.truth.get(board.target.name, -inf) < asked.below)
    board = replace(board, rows=tuple(learned))  # those that diverged are asked as well
    works: Works = (taken if asked.kept else planned)(board, metrics, asked.scores, None)
    if not asked.kept:
        works.main.do(asked.workers, tick=lambda: None)
    board, sheet = works.board, works.main.sheet
    rows = board.rows
    ids = [r.architecture.id for r in rows if r.architecture]
    orders = {a.id: plain_orders(board.lab, a)[0] for a in board.archs}
    plain = {
        n: np.array([orders[i].get(n, np.nan) for i in ids])
        for n in dict.fromkeys(n for found in orders.values() for n in found)
    }
    scores = {
        m.label: (1.0 if m.better == "higher" else -1.0) * np.array(sheet.column(called(m), rows))
        for m in works.main.metrics
    }
    made: type[Benchmark] = registry.get("benchmark", name)
    return Family(
        name=name,
        columns={n: v for n, v in scores.items() if len(set(v[np.isfinite(v)])) >= 3 and n not in plain},
        plain={n: v for n, v in plain.items() if np.isfinite(v).all() and np.ptp(v) > 0},
        truths={
            **{
                t.name: np.array([t.quality(r.truth.get(t.name, np.nan)) for r in rows]) for t in made.targets
            },
            ENDED: np.array([float(board.target.name in r.truth) for r in rows]),
        },
        bands=np.array([r.band for r in rows]),
        ids=np.array(ids),
        sizes=plain[SIZE],
        seconds={m.label: sheet.seconds(called(m)) or np.nan for m in works.main.metrics},
        worth=worths([r for r in released(name) if r.loss is None or r.loss < asked.below]),
        gap=board.target.gap,
    )


def section(found: Family) -> str:
    """What the table is worth, then every score."""
    head = f"## {BOARDS[found.name]}: `{found.name}`"
    size = found.plain[found.best_plain]
    against = {n: found.versus(v, size) for n, v in found.columns.items()}
    p = dict(zip(against, holm([t.p for t in against.values()]), strict=True))
    bounds = {n: found.interval(v) for n, v in {**found.plain, **found.columns}.items()}
    said = reading(found, against, p, bounds), scores(found, against, p, bounds)
    return "\n\n".join([head, noise(found.worth), *said])


def reading(found: Family, against: Mapping[str, PairedTest], p: Mapping[str, float], bounds: Bounds) -> str:
    """The numbers of the table below in a few sentences."""
    surer = sorted(n for n in against if beats(against[n], p[n]))
    up, down = (sum(b) for b in zip(*((bounds[n][0] > 0, bounds[n][1] < 0) for n in against), strict=True))
    best, top = found.best_plain, found.best_score
    won = ", ".join(f"`{n}`" for n in surer) + (" beat" if surer[1:] else " beats")
    return (
        f"Inside bands the best plain order is *{best}* ({found.tau(found.plain[best]):.2f}), the best of"
        f" {len(against)} scores `{top}` ({found.tau(found.columns[top]):.2f})."
        f" {won if surer else 'None beats'} the plain order, corrected for their number."
        f" {up} scores order surely better than luck (interval above 0), {down} surely worse."
        + (warning(found) if found.failed else "")
    )


def warning(found: Family) -> str:
    """How well scores keep away from what diverges."""
    every = {**found.plain, **found.columns}
    taus = {n: found.tau(v, ENDED) for n, v in every.items()}
    best = max(sorted(taus), key=lambda n: taus[n])
    low, high = found.interval(every[best], ENDED)
    return (
        f" {found.failed} trainings diverged; `{best}` tells them best from those of their band that did not"
        f" ({taus[best]:.2f} [{low:.2f}, {high:.2f}], of -1 to 1); `{found.best_score}`, the best for losses,"
        f" does so with {taus[found.best_score]:.2f}."
    )


def noise(found: Sequence[Worth]) -> str:
    """A line a band."""
    titles = [
        "band",
        "networks",
        "diverged",
        "losses",
        "spread",
        "noise",
        "test-retest",
        "simulated",
        "settled",
    ]
    rows = []
    for w in found:
        row = [w.name, str(w.networks), str(w.diverged), f"{w.low:.3f} to {w.high:.3f}", f"{w.spread:.3f}"]
        row += ["-" if w.noise is None else f"{w.noise:.4f}"]
        row += ["-" if w.retest is None else f"{w.retest:.2f} ({w.repeated} networks)"]
        row += ["-" if w.retest_all is None else f"{w.retest_all:.2f}", f"{w.settled:.2f}"]
        rows.append(row)
    return grid(titles, rows)


def scores(found: Family, against: Mapping[str, PairedTest], p: Mapping[str, float], bounds: Bounds) -> str:
    """Plain orders first, in italics, then scores, best in bands first."""
    top = found.columns[found.best_score]
    titles = ["score", "in bands", "early", "over all", "hard pairs", f"minus {found.best_plain}"]
    titles += ["p", f"minus {found.best_score}", *(["ends"] if found.failed else []), "s/network"]
    rows = []
    plain, own = (
        sorted(c.items(), key=lambda item: -found.tau(item[1])) for c in (found.plain, found.columns)
    )
    for name, values in [*plain, *own]:
        use = found.ranked(values)
        row = [f"*{name}*" if name in found.plain else f"`{name}`"]
        row += ["{:.2f} [{:.2f}, {:.2f}]".format(found.tau(values), *bounds[name])]
        row += [f"{found.tau(values, 'loss_early'):.2f}"]
        row += [
            f"{kendall_tau(values[use], found.truths['loss'][use]):.2f}",
            f"{100 * found.hard(values):.0f}%",
        ]
        ends = [f"{found.tau(values, ENDED):.2f}"] if found.failed else []
        if name in found.plain:
            rows.append([*row, "", "", "", *ends, ""])
            continue
        row += [shown(against[name]), f"{p[name]:.3f}" + (" beats" if beats(against[name], p[name]) else "")]
        row += ["" if name == found.best_score else shown(found.versus(values, top))]
        rows.append([*row, *ends, f"{found.seconds[name]:.3f}"])
    return grid(titles, rows)


def beats(test: PairedTest, p: float) -> bool:
    return test.difference > 0 and p <= LEVEL


def shown(test: PairedTest) -> str:
    return f"{test.difference:+.2f} [{test.low:+.2f}, {test.high:+.2f}]"


# --- claims ----------------------------------------------------------------------------------------

Judge = Callable[[Family], tuple[bool, str]]


def against(one: str, other: str, held: Callable[[PairedTest], bool]) -> Judge:
    """Whether the difference of two taus over all pairs is what the claim says."""

    def judged(f: Family) -> tuple[bool, str]:
        a, b, q = f.columns[one], f.columns[other], f.truths["loss"]
        use = f.ranked(a, b)
        test = paired_test(kendall_tau, a[use], b[use], q[use], clusters=f.ids[use], draws=TESTS)
        taus = f"tau {kendall_tau(a[use], q[use]):.2f} and {kendall_tau(b[use], q[use]):.2f}"
        return held(test), f"{taus}: {shown(test)}"

    return judged


def above(one: str, other: str) -> Judge:
    """Whether one score surely orders better than another."""
    return against(one, other, lambda test: test.low > 0)


def not_below(one: str, other: str) -> Judge:
    """Whether one score is not surely worse than another."""
    return against(one, other, lambda test: test.high >= 0)


def fast_and_well(fast: str, well: str) -> Judge:
    """Whether one score foretells the early loss better than the end, and the other does not."""

    def judged(f: Family) -> tuple[bool, str]:
        taus = {
            (n, t): kendall_tau(f.columns[n][use], f.truths[t][use])
            for n in (fast, well)
            for t in ("loss_early", "loss")
            if (use := f.ranked(f.columns[n])).any()
        }
        held = (
            taus[fast, "loss_early"] > taus[fast, "loss"] and taus[well, "loss_early"] <= taus[well, "loss"]
        )
        said = "; ".join(
            f"{n} {taus[n, 'loss_early']:.2f} early, {taus[n, 'loss']:.2f} at the end" for n in (fast, well)
        )
        return held, said

    return judged


def more_hard_pairs(one: str, other: str | None) -> Judge:
    """Whether one score has surely more hard pairs right than another, or than the best plain order."""

    def judged(f: Family) -> tuple[bool, str]:
        name = other or max(sorted(f.plain), key=lambda n: f.hard(f.plain[n]))
        a, b = f.columns[one], f.columns[name] if other else f.plain[name]
        use = f.ranked(a, b)
        test = paired_hard_pairs(
            a[use],
            b[use],
            f.truths["loss"][use],
            f.sizes[use],
            min_gap=f.gap,
            clusters=f.ids[use],
            draws=TESTS,
        )
        assert test is not None, "a band has pairs"
        return test.low > 0, f"{100 * f.hard(a):.0f}% and {100 * f.hard(b):.0f}% ({name}): {shown(test)}"

    return judged


def about_nothing(name: str) -> Judge:
    """Whether the interval of a tau in bands holds 0."""

    def judged(f: Family) -> tuple[bool, str]:
        values = f.columns.get(name, f.plain.get(name))
        if values is None:
            return True, f"`{name}` has no number there"
        low, high = f.interval(values)
        return low <= 0 <= high, f"tau in bands {f.tau(values):.2f} [{low:.2f}, {high:.2f}]"

    return judged


CLAIMS: tuple[tuple[str, tuple[str, ...], Judge], ...] = (
    (
        "On cells, fading memory orders better than hidden covariance",
        ("bench_rnn",),
        above("fading_memory", "hidden_covariance"),
    ),
    (
        "On cells, gated memory is at least as good as fading memory",
        ("bench_rnn",),
        not_below("gated_memory", "fading_memory"),
    ),
    (
        "Hidden covariance foretells who learns fast, fading memory who ends well",
        ("bench_rnn",),
        fast_and_well("hidden_covariance", "fading_memory"),
    ),
    (
        "On decoders, `rank_and_reuse` beats every plain size where size is equal",
        ("bench_decoder",),
        more_hard_pairs("rank_and_reuse", None),
    ),
    (
        "On encoders, a forward pass adds what shape lacks",
        ("bench_encoder",),
        more_hard_pairs("rank_spread_reach", "rank_and_reuse"),
    ),
    (
        "The memory rule for cells does not carry over to transformers",
        ("bench_decoder", "bench_encoder"),
        about_nothing("fading_memory"),
    ),
    (
        "Size tells nothing inside a band",
        ("bench_rnn", "bench_decoder", "bench_encoder"),
        about_nothing(SIZE),
    ),
)


def claims(families: Sequence[Family]) -> str:
    """What was claimed before these networks were trained, and what became of it."""
    rows = []
    for claim, names, judged in CLAIMS:
        for found in (f for f in families if f.name in names):
            held, said = judged(found)
            rows.append([claim, f"`{found.name}`", "holds" if held else "**does not hold**", said])
    return "\n\n".join(["## What became of our claims", CLAIMED, grid(["claim", "on", "", "seen"], rows)])


def grid(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


INTRODUCTION = """\
Every score on our own tables ([what they are](benchmark.md)), whose networks have one size inside a band.
Made by `python perf/verdict.py --scores FOLDER --write docs/verdict.md` from the tables in the package: probe
scale, one draw of weights, the English that Python ships as text. All intervals are of 95 %, over distinct
networks."""
HEADINGS = """\
## What the columns say

Of a table:

- spread: standard deviation of the losses inside a band.
- noise: that of one training over seeds, robust, so that one failure hardly counts.
- test-retest: Kendall's tau inside bands between two trainings of the networks that have three seeds.
- simulated: the same for all networks, if their luck is like that of those with three.
- settled: tau inside bands between the losses after half of the tokens and those at the end.

Of a score; plain orders stand first, in italics:

- in bands: Kendall's tau of the pairs inside bands, ties no agreement.
- early: the same with the loss after a fourth of the tokens.
- over all: tau-b of all pairs.
- hard pairs: how many pairs of networks of one size, with losses more than 0.01 nats apart, are put in the
  right order.
- minus: the difference of two taus in bands, paired. The best plain order and the best score are chosen on
  the same networks, which is in their favour.
- p: of the difference to the best plain order, corrected by Holm's method for the number of scores.
- ends, where trainings diverged: of the pairs of a band of which one did, the share in which a score puts it
  behind less the share in which it puts it ahead. A network without a score is put last.

`jacobian_covariance`, `jacobian_cosine` and their noised kin start from the sum of the outputs, which a layer
norm at the end makes constant. Of such transformers they are rounding: another processor moved their taus in
bands by up to 0.14, and those of no other score by more than 0.01."""
CLAIMED = """\
The claims were made on other data, and written down in [the design](benchmark.md) with what would refute them
before any of these networks was trained."""


if __name__ == "__main__":
    main()
