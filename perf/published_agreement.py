"""Our values of the published metrics against those that the authors printed, network by network.

    python perf/published_agreement.py --data ../shared/data/nas-bench-nlp [--scale both] [--limit N]
    python perf/published_agreement.py --benchmark nas_bench_bert --data ../shared/data/nas-bench-bert \\
        --text ../shared/data/text/wikitext2_test.txt --limit 60 [--authors 8]

Spearman's rho over networks with both; the two scales against each other with --scale both. Encoders are
read as the networks that were scored (`width=scored`). `--authors N` adds, for encoders, the authors' own
formulas and network (`bert_scorer.py`) on N sequences of 512 words: where that column agrees and ours does
not, the two definitions differ, and the card of the proxy says how. About 4 s of one core a network for each.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

import untrained as ut
from bert_scorer import scores
from cells import PUBLISHED
from untrained.apps.api import lab
from untrained.apps.parallel import measure_all
from untrained.apps.probing import flat
from untrained.benchmarks import folder
from untrained.core.benchmark import Benchmark, Row
from untrained.core.named import construct
from untrained.core.statistics import spearman_rho
from untrained.core.text import load

Column = list[float | None]

ONCE = "activation_distance_once"  # published, but with every activation counted once; see `published_of`
# Ours and the published column; of most both the whole and its mean over tensors are given.
ENCODERS = (
    ("synaptic_diversity", "synaptic_diversity"),
    ("synaptic_diversity.per_matrix", "synaptic_diversity_normalized"),
    ("synaptic_saliency", "synaptic_saliency"),
    ("activation_distance", "activation_distance"),
    ("activation_distance", ONCE),
    ("activation_distance.per_activation", "activation_distance_normalized"),
    ("jacobian_covariance", "jacobian_score"),
    ("jacobian_cosine", "jacobian_score_normalized"),
    ("head_importance", "head_importance"),
    ("head_importance.per_matrix", "head_importance_normalized"),
    ("head_confidence", "head_confidence"),
    ("head_confidence.mean", "head_confidence_normalized"),
    ("softmax_confidence", "head_softmax_confidence"),
    ("softmax_confidence.mean", "head_softmax_confidence_normalized"),
    ("params", "params"),
    ("", "synaptic_saliency_normalized"),
)
TYPED = {"nas_bench_nlp": "nas_bench_nlp", "nas_bench_bert": "nas_bench_bert:width=scored"}
LENGTH, VOCABULARY = 512, 30_522  # of the authors' batch


def columns(
    benchmark: str, data: str, scale: str, limit: int | None, text: str | None
) -> tuple[dict[str, Column], list[str], list[dict[str, float]]]:
    """Our columns, the keys of the networks, and what was published of each."""

    def progress(done: int, total: int) -> None:
        print(f"\r{scale}: {done}/{total}", end="", file=sys.stderr)

    table: Benchmark = construct("benchmark", TYPED[benchmark])
    place = lab(table.space, scale=scale, text=text)
    read = table.read(folder(type(table), data), place.space).rows
    rows = [r for r in read if r.architecture][:limit]
    asked = dict.fromkeys(name.partition(".")[0] for name, _ in ENCODERS)
    names = PUBLISHED if benchmark == "nas_bench_nlp" else [name for name in asked if name]
    archs = [r.architecture for r in rows if r.architecture]
    # Not through correlate, whose intervals for each task would take longer than the scores.
    measured = measure_all(
        place, archs, [ut.metric(n) for n in names], seeds=1, workers=None, progress=progress
    )
    print(file=sys.stderr)
    values = [flat(found) for found in measured]
    every = dict.fromkeys(name for found in values for name in found)
    made = {name: [found.get(name) for found in values] for name in every}
    return made, [r.key for r in rows], [published_of(r) for r in rows]


def published_of(row: Row) -> dict[str, float]:
    """What was published, and of an encoder the activation distance with every activation counted once.

    The published sum counts it once more for each layer of each network that was scored before, the
    published mean does not.
    """
    found = dict(row.published)
    mean, arch = found.get("activation_distance_normalized"), row.architecture
    if mean is not None and arch is not None:
        found[ONCE] = mean * sum(map(len, arch.inner))
    return found


def authors(data: str, text: str | None, keys: list[str], sequences: int) -> dict[str, Column]:
    """The authors' formulas on their networks, by published column."""
    tokens = torch.from_numpy(load(text).columns(VOCABULARY, sequences, LENGTH))
    records = {str(r["id"]): r for r in json.loads((Path(data) / "BERT_benchmark.json").read_bytes())}
    made = []
    for i, key in enumerate(keys, 1):
        recipe = records[key]["hparams"]["model_hparam_overrides"]
        made.append(scores(recipe["nas_config"]["encoder_layers"], tokens))
        print(f"\rauthors: {i}/{len(keys)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    columns = {name: [found[name] for found in made] for name in made[0]}
    return {**columns, ONCE: columns["activation_distance"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--benchmark", choices=sorted(TYPED), default="nas_bench_nlp")
    parser.add_argument("--data", required=True)
    parser.add_argument("--text", help="a UTF-8 file; else the text that Python ships")
    parser.add_argument("--scale", choices=("paper", "probe", "both"), default="paper")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--authors", type=int, metavar="N", help="sequences for the authors' formulas")
    args = parser.parse_args()
    if args.authors and args.benchmark != "nas_bench_bert":
        parser.error("--authors goes with --benchmark nas_bench_bert")
    scales = ("paper", "probe") if args.scale == "both" else (args.scale,)
    tables = {}
    for scale in scales:
        tables[scale], keys, published = columns(args.benchmark, args.data, scale, args.limit, args.text)
    theirs = authors(args.data, args.text, keys, args.authors) if args.authors else {}
    show(args.benchmark, tables, published, theirs)


def show(
    benchmark: str,
    tables: dict[str, dict[str, Column]],
    published: list[dict[str, float]],
    theirs: dict[str, Column],
) -> None:
    """One line a metric and published column."""
    ours = next(iter(tables.values()))
    known = ENCODERS if benchmark == "nas_bench_bert" else [(name, name) for name in ours]
    pairs = [(n, c) for n, c in known if (n in ours or c in theirs) and any(c in p for p in published)]
    heads = [f"{scale} vs published" for scale in tables]
    heads += ["paper vs probe"] * (len(tables) > 1) + ["authors' formula"] * bool(theirs)
    print(f"{'metric':<36} {'n':>4}" + "".join(f"{head:>20}" for head in heads))
    for name, column in pairs:
        printed = [p.get(column) for p in published]
        found = [pair(table[name], printed) for table in tables.values()] if name in ours else []
        both = [pair(*(table[name] for table in tables.values()))] if len(found) > 1 else []
        other = [pair(theirs[column], printed)] if column in theirs else []
        cells = [*found, *both] or [("", 0)] * (len(heads) - 1)
        shown = column if benchmark == "nas_bench_bert" else name
        line = "".join(f"{rho:>20}" for rho, _ in [*cells, *other])
        print(f"{shown:<36} {(found or other)[0][1]:>4}{line}")


def pair(a: Column, b: Column) -> tuple[str, int]:
    known = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    xs, ys = zip(*known, strict=True)
    return f"{spearman_rho(xs, ys):.4f}", len(known)


if __name__ == "__main__":
    main()
