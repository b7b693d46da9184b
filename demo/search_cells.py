"""The whole product in a minute: from a text to the recurrent cells that are worth training.

Searches 500 cells that were never trained, on the English text that Python ships, for networks of at most
8 million parameters; then scores the best ten again over five draws, beside the classics.

The cells are drawn at random, as those were on which the scores were tested. An evolution climbs a score to
where nobody has tested it (`untrained search rnn_cell --strategy regularized_evolution` shows it).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from textwrap import fill

import untrained as ut

PROXIES = ["gated_memory", "fading_memory", "hidden_covariance"]
SEEDS = 5
CLASSICS = ("rnn", "gru", "lstm")


def main() -> None:
    args = arguments()
    store = Path(args.store)
    before = store.exists()
    start = time.perf_counter()
    study = ut.search(
        "rnn_cell",
        maximize=PROXIES[0],
        also=PROXIES[1:],
        where="params <= 8e6",
        strategy="random_search",
        trials=args.trials,
        seed=args.seed,
        store=store,
        resume=before,
        progress=show_progress,
    )
    spent = time.perf_counter() - start
    count = Counter(t.status for t in study.trials)
    again = sum(t.same_as is not None for t in study.trials)
    print(f"{len(study.trials)} cells asked for, none trained; {again} of them had been met before.")
    print(f"  {count['ok']} scored")
    print(f"  {count['rejected']} over 8 million parameters, turned away before a weight was drawn")
    print(f"  {count['failed']} without a score")
    how = "read back from the store" if before else f"{1e3 * spent / len(study.trials):.1f} ms a cell"
    print(f"{spent:.1f} s, {how}; the log is {store}\n")

    space = ut.space("rnn_cell")
    names = {space.classic(name): name.upper() for name in CLASSICS}
    best = [t.architecture for t in study.distinct()[:10]]
    ranking = ut.rank([*best, *(a for a in names if a not in best)], [*PROXIES, "params"], seeds=SEEDS)
    print(f"The best ten and the classics, mean +- spread over {SEEDS} draws of weights and text window:\n")
    print(f"{'':>4} {'cell':<17}{''.join(f'{name:>20}' for name in PROXIES)}{'parameters':>12}  nodes")
    for place, row in enumerate(ranking, start=1):
        arch, found = row.architecture, row.measurements
        scores = "".join(f"{value(found[name]):>20}" for name in PROXIES)
        size = found["params"].value or 0.0
        over = "  (over budget)" if size > 8e6 else ""
        print(f"{place:>4} {names.get(arch, arch.id):<17}{scores}{size:>12,.0f}  {nodes(arch)}{over}")
    for row in ranking:
        for name, m in row.measurements.items():
            if not m.ok:
                print(f"     {row.architecture.id} has no {name} in one of the draws: {m.reason}")
    print("\nWhat the scores are known to be worth:")
    for name in PROXIES:
        print(
            fill(
                f"{name}: {ut.metric(name).card['Worth']}", 100, initial_indent="  ", subsequent_indent="    "
            )
        )
    print("\nMore: untrained report", store, " |  untrained show fading_memory  |  untrained list")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=500, help="cells to look at (500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", default="demo.db", help="the study's log; an existing one is gone on with")
    return parser.parse_args()


def show_progress(done: int, total: int, trial: object) -> None:
    if sys.stderr.isatty():
        print(f"\r{done}/{total} cells", end="" if done < total else "\r", file=sys.stderr, flush=True)


def value(m: ut.Measurement) -> str:
    if m.value is None:
        return "failed"
    style = ",.0f" if abs(m.value) >= 100 else ".3f"
    return f"{m.value:{style}} +- {m.spread or 0.0:{style}}"


def nodes(arch: ut.Architecture) -> str:
    """How many nodes of each op, in short."""
    ops = [op.removeprefix("activation_").removeprefix("elementwise_") for op, _ in arch.cell[0]]
    return " ".join(f"{ops.count(op)} {op}" for op in dict.fromkeys(ops))


if __name__ == "__main__":
    main()
