from __future__ import annotations

import statistics

import torch
from torch.utils.benchmark import Timer

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, cost
from untrained.nn.probe import Probe


@cost(unit="ms", needs="device")
def latency(probe: Probe, *, batch: int = 1, length: int = 64, warmup: int = 3, repeats: int = 20) -> Parts:
    """Median wall time of one forward pass.

    Formula: median over `repeats` of the time of model(tokens), after `warmup` passes that do not count,
        device synchronised; the spread is the standard deviation over the repeats
    Shapes:  tokens (`batch`, `length`) -> float; parts `p10` and `p90`, ms
    Cost:    warmup + repeats forwards
    Source:  torch.utils.benchmark.Timer, which does the synchronising
    """
    if min(batch, length, repeats) < 1 or warmup < 0 or repeats < 2:
        raise MeasurementFailed("batch and length take 1 or more, repeats 2 or more, warmup 0 or more")
    shown = probe.batch.tokens
    rows, columns = -(-batch // shown.shape[0]), -(-length // shown.shape[1])
    tokens = shown.repeat(rows, columns)[:batch, :length]
    timer = Timer("run(tokens)", globals={"run": probe.model, "tokens": tokens})
    with torch.inference_mode():
        if warmup:
            timer.timeit(warmup)
        times = sorted(1e3 * timer.timeit(1).mean for _ in range(repeats))
    low, high = times[len(times) // 10], times[-1 - len(times) // 10]
    return Parts(statistics.median(times), {"p10": low, "p90": high}, spread=statistics.stdev(times))
