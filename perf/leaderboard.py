"""Every proxy on every benchmark at hand, against the plain sizes: writes docs/leaderboard.md.

python perf/leaderboard.py --data ../shared/data --text ../shared/data/text/wikitext2_valid.txt
       [--scores FOLDER] [--limit N] [--only lts_gpt2_wt103] [--workers 2]

Scores are kept in the folder, one CSV file a benchmark, and what is in it is not measured again.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import untrained as ut
from untrained.core import registry, statistics
from untrained.core.benchmark import Target
from untrained.core.errors import BadData
from untrained.core.metric import metric
from untrained.core.named import construct

# What is asked of each benchmark: how it is typed, and the truth that decides.
BENCHMARKS = {
    "nas_bench_nlp": ("nas_bench_nlp", "wikitext2_val_loss"),
    "nas_bench_bert": ("nas_bench_bert", "glue"),
    "nas_bench_bert_as_trained": ("nas_bench_bert:operation=attention,feed_forward=trained", "glue"),
    "lts_gpt2_wt103": ("lts_gpt2_wt103", "valid_ppl"),
    "lts_transformer_xl_wt103": ("lts_transformer_xl_wt103", "valid_ppl"),
}
SIZES = ("params_nonembedding", "params_attention", "layers_times_width", "layers_then_width")
PLAIN = ("params", "flops", "nodes", "gates", *SIZES)
OWN = (  # our own, compared with each size by name
    "fading_memory",
    "layered_memory",
    "gated_memory",
    "depth_width_rank",
    "rank_and_spread",
    "rank_spread_reach",
    "rank_and_reuse",
    "rank_reuse_memory",
)
HEAD = """# Leaderboard

Every proxy that has a number on a benchmark's networks: one draw of weights, probe scale, text: {text}.
The plain sizes and simple orders stand first, in italics, each taken as "more is better".

- tau: Kendall's tau-b, with its 95 % interval over distinct networks (1,000 resamples). tau-a gives no credit
  for ties, which a score of few values has many of.
- half: tau-b in the better half. top 10 %: share of the true best tenth that is in the best tenth by score.
- hard pairs: networks of one size (non-embedding parameters within 5 %) whose truths really differ, and how
  many of those pairs are put in the right order.
- partial: Spearman's rho with that size held fixed.
- *beats* is yes where the whole 95 % interval of tau-a minus that of the best plain order lies above 0. With
  some fifty proxies in a table, one or two would do so by chance; an interval that ends near 0 says little.
- s/network: seconds on one core of a machine that was busy with other work too, when all are asked together.
  A pass that several proxies share is counted for the first of them. `perf/sharing.py` measures it properly.

Some of these rows shaped our own proxies; their cards say which. The tables at hand are parts of what their
authors published; whoever has the rest can run the same command.

Made by `python perf/leaderboard.py --data ../shared/data --text ../shared/data/text/wikitext2_valid.txt`.
"""


@dataclass
class Scored:
    """One benchmark's networks, a column for each score."""

    ids: list[str]
    """architecture, equal for twins"""
    columns: dict[str, list[float]]
    """NaN where there is no number"""
    truth: list[float]
    seconds: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True, help="folder that holds one folder a family of benchmarks")
    parser.add_argument("--text", help="a text file; else the text that Python ships")
    parser.add_argument("--scores", type=Path, default=Path("scores"), help="where scores are kept")
    parser.add_argument("--limit", type=int, help="rows of each benchmark")
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS))
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "leaderboard.md")
    args = parser.parse_args()
    pages = [HEAD.format(text=Path(args.text).name if args.text else "what Python ships")]
    args.scores.mkdir(exist_ok=True)
    for name in args.only or BENCHMARKS:
        try:
            pages.append(section(name, scored(name, args)))
        except BadData as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text("\n".join(pages), encoding="utf-8")
    print(f"written: {args.out}")


def scored(name: str, args: argparse.Namespace) -> Scored:
    """The scores that are kept, with what is missing measured now."""
    typed, target = BENCHMARKS[name]
    file, times = args.scores / f"{name}.csv", args.scores / f"{name}.json"
    kept = read(file) if file.exists() else []
    seconds = json.loads(times.read_text()) if times.exists() else {}
    missing = [p for p in registry.names("proxy") if p not in seconds]
    if missing:
        found = ut.correlate(
            typed,
            missing,
            data=args.data,
            text=args.text,
            limit=args.limit,
            targets=[target],
            workers=args.workers,
            progress=said(name),
        )
        fresh = args.scores / f"{name}.part"
        found.save_scores(fresh)
        kept = merged(kept, read(fresh))
        fresh.unlink()
        write(file, kept)
        asked = {r["proxy"]: r["seconds_per_arch"] for r in found.records}
        seconds |= {p: asked.get(p, math.nan) for p in missing}
        times.write_text(json.dumps(seconds))
    rows = [r for r in kept if r["id"] and r[target] != ""]
    names = [n for n in rows[0] if n not in ("id", "key")]
    columns = {n: [math.nan if r[n] == "" else float(r[n]) for r in rows] for n in names}
    goal: Target = next(t for t in construct("benchmark", typed).targets if t.name == target)
    return Scored([r["id"] for r in rows], columns, [goal.quality(float(r[target])) for r in rows], seconds)


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def write(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as lines:
        out = csv.DictWriter(lines, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


def merged(old: list[dict[str, str]], new: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows by the benchmark's own key; what is new counts."""
    if not old:
        return new
    by_key = {r["key"]: r for r in old}
    return [{**by_key.get(r["key"], {}), **r} for r in new]


def said(name: str) -> Any:
    def tell(done: int, total: int) -> None:
        print(f"\r{name}: {done}/{total}", end="" if done < total else "\n", file=sys.stderr, flush=True)

    return tell


def section(name: str, table: Scored) -> str:
    typed, target = BENCHMARKS[name]
    proxies = registry.names("proxy")
    signed = {p: direction(p) * np.array(table.columns[p]) for p in proxies if p in table.columns}
    plain = {
        p: np.array(table.columns[p]) for p in dict.fromkeys(PLAIN) if p in table.columns and p not in signed
    }
    plain |= {p: signed[p] for p in SIZES if p in signed}
    # A cell has no attention to count, and all of one depth have one order.
    plain = {p: v for p, v in plain.items() if np.isfinite(v).all() and np.ptp(v) > 0}
    size = np.array(table.columns["params_nonembedding"])
    truth, ids = np.array(table.truth), np.array(table.ids)
    gap = next(t.gap for t in construct("benchmark", typed).targets if t.name == target)
    best = max(plain, key=lambda p: statistics.kendall_tau_a(plain[p], truth))
    lines = [
        f"## {typed}: {target}",
        "",
        f"{len(ids)} networks, {len(set(ids.tolist()))} of them different."
        f" The best plain order by tau-a is {best}.",
        "",
        "| score | n | tau | tau-a | rho | half | top 10 % | hard pairs | partial | s/network | beats |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    sizes = sorted(plain, key=lambda p: -statistics.kendall_tau(plain[p], truth))
    scores = {p: v for p, v in signed.items() if p not in plain and enough(v, ids)}
    order = sorted(scores, key=lambda p: -tau(scores[p], truth))
    for p in [*sizes, *order]:
        value = plain.get(p, scores.get(p))
        assert value is not None
        lines.append(line(p, p in plain, value, plain[best], size, truth, ids, gap, table.seconds.get(p)))
    lines += paired(scores, plain, size, truth, ids, gap)
    if none := [p for p in proxies if p not in scores and p not in plain]:
        lines += ["", f"No number here (the card says why): {', '.join(none)}."]
    return "\n".join(lines) + "\n"


def direction(name: str) -> float:
    return 1.0 if metric(name).better == "higher" else -1.0


def enough(values: Any, ids: Any) -> bool:
    return len(set(ids[np.isfinite(values)].tolist())) >= 3


def tau(values: Any, truth: Any) -> float:
    use = np.isfinite(values)
    return statistics.kendall_tau(values[use], truth[use])


def line(
    name: str,
    plain: bool,
    values: Any,
    rival: Any,
    size: Any,
    truth: Any,
    ids: Any,
    gap: float,
    spent: float | None,
) -> str:
    use = np.isfinite(values)
    v, t, s, c = values[use], truth[use], size[use], ids[use]
    a = statistics.agreement(v, t, size=s, clusters=c, min_gap=gap)
    beats = ""
    if not plain:
        _, low, _ = statistics.paired_bootstrap(statistics.kendall_tau_a, v, rival[use], t, clusters=c)
        beats = "yes" if low > 0 else "no"
    hard = "" if a.hard_pairs is None else f"{100 * a.hard_pairs:.0f} % of {a.hard_pairs_n:,}"
    partial = "" if a.partial_rho is None else f"{a.partial_rho:.2f}"
    cells = [f"*{name}*" if plain else name, a.n, f"{a.tau:.2f} [{a.tau_low:.2f}, {a.tau_high:.2f}]"]
    cells += [f"{a.tau_a:.2f}", f"{a.rho:.2f}", f"{a.tau_better_half:.2f}", f"{100 * a.top10_overlap:.0f} %"]
    cells += [hard, partial, "" if not spent or math.isnan(spent) else f"{spent:.3f}", beats]
    return "| " + " | ".join(map(str, cells)) + " |"


def paired(
    scores: dict[str, Any], plain: dict[str, Any], size: Any, truth: Any, ids: Any, gap: float
) -> list[str]:
    """Our own against each size: differences of tau-a and of the share of hard pairs, with intervals."""
    rivals = [p for p in SIZES if p in plain]
    own = [p for p in OWN if p in scores]
    if not rivals or not own:
        return []

    def tau_a(score: Any, quality: Any, _: Any) -> float:
        return statistics.kendall_tau(score, quality, "a")

    def hard(score: Any, quality: Any, sizes: Any) -> float:
        return statistics.hard_pairs(score, quality, sizes, min_gap=gap)[0] or 0.0

    lines = [
        "",
        "Ours minus a size, tau-a; hard pairs (points of a hundred), each with its paired 95 % interval:",
    ]
    lines += ["", "| | " + " | ".join(rivals) + " |", "|---" * (len(rivals) + 1) + "|"]
    for p in own:
        cells = []
        for rival in rivals:
            use = np.isfinite(scores[p])
            both = scores[p][use], plain[rival][use], truth[use], size[use]
            d, low, high = statistics.paired_bootstrap(tau_a, *both, clusters=ids[use], draws=300)
            e, under, over = statistics.paired_bootstrap(hard, *both, clusters=ids[use], draws=300)
            cells.append(
                f"{d:+.2f} [{low:+.2f}, {high:+.2f}]; {100 * e:+.0f} [{100 * under:+.0f}, {100 * over:+.0f}]"
            )
        lines.append(f"| {p} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
