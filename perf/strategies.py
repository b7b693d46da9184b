"""Every strategy on the tables at hand: writes docs/strategies.md.

python perf/strategies.py --data ../shared/data [--budget 50] [--runs 30] [--slow-runs 10]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import untrained as ut
from untrained.core import registry

# Table, its truth, and the cheaper metric that strategies which look twice may ask without charge.
TABLES = (
    ("nas_bench_nlp", "wikitext2_val_loss", "fading_memory"),
    ("nas_bench_bert:operation=attention,feed_forward=trained", "glue", "rank_and_reuse"),
    ("lts_gpt2_wt103", "valid_ppl", "rank_and_reuse"),
)
SLOW = ("bayesian", "bananas")  # a model is fitted at every look
HEAD = """# Strategies compared

Each strategy looks up {budget} truths of a table, {runs} times ({slow}: {slow_runs} times), each run with
luck of its own; what is looked up twice counts twice. The tables are samples of their spaces, so a neighbour
is one of the nearest by encoding.

- regret: best truth of the table minus the best found (of the logarithm for a perplexity), mean over runs,
  with its 95 % bootstrap interval; then the mean at a tenth, a quarter and a half of the budget.
- minus random: quality found minus what random search found with the same luck, with its interval. Where it
  contains 0, random search is as good.
- improvement: of what was found over the mean of all architectures, in per cent of it: what the search adds
  to taking one at random.
- hours: training time that was looked up, from the authors' logs.

Strategies that look twice see a cheaper metric first, without charge; the table names it. That is their
point, and it makes them no fair rivals of those that do not.

## Which is the default, and why

`untrained search` takes `regularized_evolution` for one objective and `nsga2` for several. Not because they
win here: with fifty looks evolution has hardly begun. Its first fifty are random, so in these tables it is
random search. But a score of ours costs milliseconds and a search has thousands of trials; on the made-up
spaces of our tests evolution had caught up with what models the space after some hundred trials, and its asks
cost less. Where a look is dear, or there are few: `tpe` needs no cheaper metric; with one (`--fidelity`),
`zero_cost_warmup` and `successive_halving` were as good as all that look once, or better, and with two
or more there is `robot`. `variation_aware` spends its looks on repeats, which a table without spread cannot
reward.

Made by `python perf/strategies.py --data ../shared/data --runs {runs} --slow-runs {slow_runs}`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--budget", type=int, default=50)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--slow-runs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "strategies.md")
    args = parser.parse_args()
    slow = " and ".join(SLOW)
    pages = [HEAD.format(budget=args.budget, runs=args.runs, slow=slow, slow_runs=args.slow_runs)]
    names = [n for n in registry.names("strategy") if registry.get("strategy", n).needs_fidelities <= 1]
    for typed, target, cheap in TABLES:
        records: list[dict[str, Any]] = []
        notes: list[str] = []
        for some, runs in (([n for n in names if n not in SLOW], args.runs), (list(SLOW), args.slow_runs)):
            print(f"{typed}: {', '.join(some)}", file=sys.stderr, flush=True)
            found = ut.compare(
                some, typed, budget=args.budget, runs=runs, target=target, fidelities=cheap, data=args.data
            )
            known = {r["strategy"] for r in records}
            records += [r for r in found.records if r["strategy"] not in known]
            notes = found.notes
        pages.append(section(typed, target, cheap, records, notes))
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text("\n".join(pages), encoding="utf-8")
    print(f"written: {args.out}")


def section(typed: str, target: str, cheap: str, records: list[dict[str, Any]], notes: list[str]) -> str:
    at = list(records[0]["regret_at"])[:-1]
    lines = [f"## {typed}: {target}", "", f"{notes[0]} Looks twice: {cheap} first.", ""]
    lines += [
        "| strategy | regret | "
        + " | ".join(f"at {n}" for n in at)
        + " | minus random | improvement | hours |"
    ]
    lines += ["|---" * (len(at) + 5) + "|"]
    for r in sorted(records, key=lambda r: r["regret"]):
        twice = registry.get("strategy", r["strategy"]).needs_fidelities > 0
        cells = [r["strategy"] + (" (looks twice)" if twice else "")]
        cells += [f"{r['regret']:.4f} [{r['regret_low']:.4f}, {r['regret_high']:.4f}]"]
        cells += [f"{r['regret_at'][n]:.3f}" for n in at]
        difference = f"{r['minus_random']:+.4f} [{r['minus_random_low']:+.4f}, {r['minus_random_high']:+.4f}]"
        cells += ["" if r["beats_random"] is None else difference, f"{r['relative_improvement']:+.1f} %"]
        cells += ["" if r["simulated_hours"] is None else f"{r['simulated_hours']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
