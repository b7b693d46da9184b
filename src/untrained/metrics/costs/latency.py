from __future__ import annotations

import statistics

import torch
from torch.utils.benchmark.utils.timer import timer as now

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, cost
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe


@cost(unit="ms", needs="device")
def latency(probe: Probe, *, batch: int = 1, length: int = 64, warmup: int = 3, repeats: int = 20) -> Parts:
    """Median wall time of one forward pass.

    Formula: median over `repeats` of the time of model(tokens), after `warmup` passes that do not count,
        device synchronised, one thread; the spread is the standard deviation over the repeats
    Shapes:  tokens (`batch`, `length`) -> float; parts `p10` and `p90`, ms
    Cost:    warmup + repeats forwards
    Source:  torch.utils.benchmark, whose clock waits for the device
    """
    if min(batch, length, repeats) < 1 or warmup < 0 or repeats < 2:
        raise MeasurementFailed("batch and length take 1 or more, repeats 2 or more, warmup 0 or more")
    shown = probe.batch.tokens
    rows, columns = -(-batch // shown.shape[0]), -(-length // shown.shape[1])
    tokens = shown.repeat(rows, columns)[:batch, :length]
    model, times = probe.model, []
    with torch.inference_mode(), quiet_numbers():
        for _ in range(warmup + repeats):
            start = now()
            model(tokens)
            times.append(1e3 * (now() - start))
    times = sorted(times[warmup:])
    low, high = times[len(times) // 10], times[-1 - len(times) // 10]
    return Parts(statistics.median(times), {"p10": low, "p90": high}, spread=statistics.stdev(times))
