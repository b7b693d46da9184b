"""What a configuration of 7 billion weights costs, without a weight being made.

One thread.

python perf/price_7b.py
"""

from __future__ import annotations

import resource
import time

import torch
from transformers import LlamaConfig

import untrained


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(what: str, proxies: tuple[str, ...]) -> None:
    start, before = time.perf_counter(), peak_mib()
    found = untrained.score(LlamaConfig(), proxies)
    spent = time.perf_counter() - start
    print(f"{what}: {spent:.2f} s, peak {peak_mib():.0f} MiB ({before:.0f} before)", flush=True)
    for m in found.values():
        print(f"    {m.metric}: {m.value if m.ok else m.reason} {m.unit}")


def main() -> None:
    torch.set_num_threads(1)
    costs = ("params", "params_nonembedding", "flops")
    timed("costs, first call (imports included)", costs)
    timed("costs, again", costs)
    timed("proxies at probe scale", ("fading_memory", "jacobian_covariance"))


if __name__ == "__main__":
    main()
