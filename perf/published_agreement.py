"""Our values of the published metrics against those that the authors printed, cell by cell.

    python perf/published_agreement.py --data ../shared/data/nas-bench-nlp [--scale paper|probe] [--limit N]

Spearman's rho over cells with both; the two scales against each other with --scale both.
"""

from __future__ import annotations

import argparse
import sys

import untrained as ut
from cells import PUBLISHED
from untrained.core.statistics import spearman_rho


def columns(
    data: str, scale: str, limit: int | None
) -> tuple[dict[str, list[float | None]], list[dict[str, float]]]:
    def progress(done: int, total: int) -> None:
        print(f"\r{scale}: {done}/{total}", end="", file=sys.stderr)

    found = ut.correlate(
        "nas_bench_nlp", PUBLISHED, data=data, scale=scale, limit=limit, progress=progress, workers=None
    )
    print(file=sys.stderr)
    return found.columns, [dict(r.published) for r in found.rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--scale", choices=("paper", "probe", "both"), default="paper")
    parser.add_argument("--limit", type=int)
    args = parser.parse_args()
    scales = ("paper", "probe") if args.scale == "both" else (args.scale,)
    tables = {}
    for scale in scales:
        tables[scale], published = columns(args.data, scale, args.limit)
    names = [n for n in tables[scales[0]] if any(n in p for p in published)]
    print(
        f"{'metric':<36} {'n':>4}"
        + "".join(f"{s + ' vs published':>20}" for s in scales)
        + f"{'paper vs probe':>18}"
    )
    for name in names:
        theirs = [p.get(name) for p in published]
        rhos = [pair(tables[s][name], theirs) for s in scales]
        both = pair(tables["paper"][name], tables["probe"][name])[0] if args.scale == "both" else ""
        print(f"{name:<36} {rhos[0][1]:>4}" + "".join(f"{r[0]:>20}" for r in rhos) + f"{both:>18}")


def pair(a: list[float | None], b: list[float | None]) -> tuple[str, int]:
    known = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    xs, ys = zip(*known, strict=True)
    return f"{spearman_rho(xs, ys):.4f}", len(known)


if __name__ == "__main__":
    main()
