"""Peak memory while scoring ten thousand cells: it must not grow with their number.

python perf/memory.py --cells 10000
"""

from __future__ import annotations

import argparse
import resource
from random import Random

from cells import laboratory, metrics
from untrained.nn.numerics import quiet_numbers


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--proxy", default="fading_memory,hidden_covariance")
    args = parser.parse_args()
    lab, chosen = laboratory("probe"), metrics(tuple(args.proxy.split(",")))
    marks = sorted({args.cells // 20, args.cells // 4, args.cells // 2, args.cells})
    early = 0.0
    with quiet_numbers():
        for n in range(1, args.cells + 1):
            lab.measure(lab.space.sample(Random(n)), chosen)
            if n in marks:
                early = early or peak_mib()
                print(f"{n:>6} cells: peak {peak_mib():.0f} MiB", flush=True)
    print(f"peak after {args.cells} cells / after {marks[0]}: {peak_mib() / early:.3f}")


if __name__ == "__main__":
    main()
