"""Every proxy on every benchmark at hand, against the plain sizes: writes docs/leaderboard.md.

python perf/leaderboard.py --data ../shared/data [--limit N] [--only lts_gpt2_wt103]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import untrained as ut
from untrained.core import registry
from untrained.core.errors import BadData

# What is asked of each benchmark: how it is typed, the truth that decides, and which proxies make sense.
BENCHMARKS = {
    "nas_bench_nlp": ("nas_bench_nlp", "wikitext2_val_loss"),
    "lts_gpt2_wt103": ("lts_gpt2_wt103", "valid_ppl"),
    "lts_transformer_xl_wt103": ("lts_transformer_xl_wt103", "valid_ppl"),
    "nas_bench_bert": ("nas_bench_bert:operation=attention,feed_forward=trained", "glue"),
}
HEAD = """# Leaderboard

Every proxy that has a number on a benchmark's networks: one draw, probe scale, the text that Python ships.
Plain sizes and simple orders stand in italics, each taken as "more is better". tau is Kendall's, with its
95 % interval over distinct networks; half is tau in the better half; hard pairs are those of one size (5 %)
whose truths really differ; partial is Spearman's rho given size. *Beats* is yes where the whole paired
interval of tau minus that of the best plain order lies above 0. Some of these rows shaped our own proxies;
their cards say which.

Made by `python perf/leaderboard.py --data ../shared/data`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="folder that holds one folder a family of benchmarks")
    parser.add_argument("--limit", type=int, help="rows of each benchmark")
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "leaderboard.md")
    args = parser.parse_args()
    pages = [HEAD]
    for name in args.only or BENCHMARKS:
        typed, target = BENCHMARKS[name]
        try:
            found = ut.correlate(
                typed, "all", data=args.data, limit=args.limit, progress=said(name), workers=None
            )
        except BadData as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
            continue
        records = [r for r in found.records if r["target"] == target and "." not in r["proxy"]]
        pages.append(section(typed, target, records, found.notes[0]))
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text("\n".join(pages), encoding="utf-8")
    print(f"written: {args.out}")


def said(name: str) -> Any:
    def tell(done: int, total: int) -> None:
        print(f"\r{name}: {done}/{total}", end="" if done < total else "\n", file=sys.stderr, flush=True)

    return tell


def section(typed: str, target: str, records: list[dict[str, Any]], note: str) -> str:
    lines = [
        f"## {typed}: {target}",
        "",
        note,
        "",
        "| score | n | tau | half | hard pairs | partial | s/network | beats |",
        "|---|---|---|---|---|---|---|---|",
    ]
    proxies = set(registry.names("proxy"))
    for r in sorted(records, key=lambda r: -r["tau"]):
        name = r["proxy"] if r["proxy"] in proxies else f"*{r['proxy']}*"
        hard = "" if r["hard_pairs"] is None else f"{100 * r['hard_pairs']:.0f} % of {r['hard_pairs_n']:,}"
        partial = "" if r["partial_rho"] is None else f"{r['partial_rho']:.2f}"
        beats = {True: "yes", False: "no", None: ""}[r["beats_size"]]
        interval = f"{r['tau']:.2f} [{r['tau_low']:.2f}, {r['tau_high']:.2f}]"
        cells = [name, r["n"], interval, f"{r['tau_better_half']:.2f}", hard, partial]
        lines.append("| " + " | ".join(map(str, [*cells, f"{r['seconds_per_arch']:.3f}", beats])) + " |")
    missing = sorted(proxies - {r["proxy"] for r in records})
    if missing:
        lines += ["", f"No number here (the card says why): {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
