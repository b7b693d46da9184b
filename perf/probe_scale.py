"""Milliseconds a cell at probe scale, one thread: fading memory, the published metrics, their arithmetic.

    python perf/probe_scale.py --cells 60 [--data ../shared/data/nas-bench-nlp]

With --data the cells are those of the benchmark, else random ones of the published generator.
"""

from __future__ import annotations

import argparse
import statistics

import torch

import untrained as ut
from cells import PUBLISHED, laboratory, metrics, random_cells, seconds
from untrained.apps.probing import Lab
from untrained.nn.numerics import quiet_numbers
from untrained.nn.recurrent import RecurrentLM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--data", help="folder of nas_bench_nlp")
    args = parser.parse_args()
    lab = laboratory("probe")
    archs = benchmark_cells(args.data, args.cells) if args.data else random_cells(args.cells)
    groups = {
        "fading_memory": ("fading_memory",),
        "hidden_covariance": ("hidden_covariance",),
        "the twelve published": PUBLISHED,
    }
    print(f"{len(archs)} cells, one thread, building the network included")
    with quiet_numbers():
        lab.measure(archs[0], metrics())  # what the first call loads does not count
        arithmetic = statistics.median(fading_products(lab, a) for a in archs)
        for name, members in groups.items():
            chosen = metrics(members)
            times = [1e3 * seconds(lambda a=a, c=chosen: lab.measure(a, c)) for a in archs]
            print(
                f"  {name:<22} mean {statistics.mean(times):7.2f} ms   median {statistics.median(times):7.2f}"
                f"   slowest {max(times):7.2f}"
            )
            if name == "fading_memory":
                print(f"  {'  its products alone':<22} {'':>15}   median {1e3 * arithmetic:7.2f}")


def benchmark_cells(data: str, n: int) -> list[ut.Architecture]:
    from untrained.benchmarks import folder
    from untrained.core import registry

    table = registry.get("benchmark", "nas_bench_nlp")()
    rows = table.read(folder(table, data), ut.space("rnn_cell")).rows
    return list(dict.fromkeys(r.architecture for r in rows if r.architecture))[:n]


def fading_products(lab: Lab, arch: ut.Architecture) -> float:
    """Seconds of the matrix products of one forward of 48 sequences of 25 words."""
    model = lab.probe(arch).model
    assert isinstance(model, RecurrentLM)
    shapes = [w.shape for layer in model.layers for w in layer.matrices.values()]
    weights = [torch.randn(s) for s in shapes]
    batches = [torch.randn(48, s[0]) for s in shapes]

    def run() -> None:
        for _ in range(25):
            for x, w in zip(batches, weights, strict=True):
                torch.mm(x, w)

    with torch.inference_mode():
        return seconds(run)


if __name__ == "__main__":
    main()
