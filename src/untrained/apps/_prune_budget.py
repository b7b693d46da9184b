"""What a user can afford, as a window of parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from untrained.core.errors import UntrainedError, UsageError
from untrained.spaces.llm_subnet import LlmSubnet

SLACK = 0.03  # how far below the budget a sub-network may stay
CONTEXT = 2_048  # tokens whose keys and values have to fit
ROUNDS = 6  # halvings of the size that a latency allows
UNITS = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
TIMES = {"": 1, "MS": 1, "S": 1e3, "US": 1e-3}
COUNTS = {"": 1, "K": 1e3, "M": 1e6, "B": 1e9}

SpaceOf = Callable[..., LlmSubnet]
"""(low=..., high=...) -> the space with that window"""


@dataclass(frozen=True)
class Budget:
    """What was asked for, and what it means in parameters."""

    asked: str
    """as typed, with its option"""
    low: int
    high: int
    latency_ms: float | None = None
    bytes: int | None = None


def parameters(text: str, space: SpaceOf) -> Budget:
    """A share of the parent's parameters, tables and head included, or a number of them: 0.6, 4.5B."""
    whole = space()
    number = _number(text, COUNTS, "--params", "0.6 (a share) or 4.5B")
    most, least = whole.widths.most, whole.widths.least
    if 1 < number < 1_000:
        raise UsageError(
            f"--params {text}: a share is 1 at most, and a number of parameters is larger.\n"
            "  write it like --params 0.6 or --params 4.5B"
        )
    high = round(number * most) if number <= 1 else round(number)
    if high >= most:
        raise UsageError(
            f"--params {text}: the model has {most:,} parameters, so there is nothing to cut.\n"
            "  ask for fewer: --params 0.6"
        )
    if high < least:
        raise UsageError(
            f"--params {text}: {high:,} parameters cannot be reached; the smallest sub-network that is tried"
            f" has {least:,}.\n"
            f"  the nearest that can: --params {_up(least / most)}"
        )
    return Budget(f"--params {text}", *window(whole, high))


def memory(text: str, space: SpaceOf, config: Any, dtype: torch.dtype) -> Budget:
    """Weights as they are stored, and keys and values of one sequence: 6GB."""
    whole = space()
    g = whole.geometry
    number = round(_number(text, UNITS, "--fits", "6GB or 800MiB"))
    cache = cache_bytes(whole, dtype)
    need = weight_bytes(g.params, dtype) + cache
    if need <= number:
        raise UsageError(
            f"--fits {text}: the model takes {need / 1e9:.3g} GB as it is, so there is nothing to cut.\n"
            "  ask for less, or say how much: --params 0.6"
        )
    high = (number - cache) // dtype.itemsize
    least = whole.widths.least
    if high < least:
        smallest = weight_bytes(least, dtype) + cache
        raise UsageError(
            f"--fits {text} cannot be met: the smallest sub-network that is tried takes"
            f" {smallest / 1e9:.4g} GB ({least:,} parameters, and keys and values of"
            f" {min(CONTEXT, g.positions):,} tokens).\n"
            f"  the nearest that can: --fits {math.ceil(smallest / 1e3)}KB"
        )
    return Budget(f"--fits {text}", *window(whole, int(high)), bytes=number)


def latency(text: str, space: SpaceOf, measure: Callable[[LlmSubnet], float]) -> Budget:
    """The parameters at which a sub-network is as fast as asked: 20ms.

    `measure` gives the milliseconds of one sub-network of a space, a typical one.
    """
    goal = _number(text, TIMES, "--latency", "20ms")
    whole = space()
    most, least = whole.widths.most, whole.widths.least
    now = measure(space(low=most, high=most))
    if now <= goal:
        raise UsageError(
            f"--latency {text}: the model answers in {now:.2f} ms as it is, so there is nothing to cut.\n"
            "  ask for less, or say how much: --params 0.6"
        )
    fastest = measure(space(low=least, high=least))
    if fastest > goal:
        raise UsageError(
            f"--latency {text} cannot be met: the smallest sub-network that is tried takes {fastest:.2f} ms,"
            f" and the model {now:.2f} ms.\n"
            f"  the nearest that can: --latency {_up(1.05 * fastest)}ms"
        )
    under, over = least, most
    for _ in range(ROUNDS):
        middle = (under + over) // 2
        low, high = window(whole, middle)
        fits = measure(space(low=low, high=high)) <= goal
        under, over = (middle, over) if fits else (under, middle)
    return Budget(f"--latency {text}", *window(whole, under), latency_ms=goal)


def window(space: LlmSubnet, high: int) -> tuple[int, int]:
    """From a little under a budget to the budget; never so narrow that steps of the widths miss it."""
    w = space.widths
    heads, inner = w.heads, w.inner
    steps = [w.layer(heads[-1], inner[-1]) - w.layer(heads[-1], inner[-2]) if len(inner) > 1 else 0]
    steps += [w.layer(heads[-1], inner[-1]) - w.layer(heads[-2], inner[-1]) if len(heads) > 1 else 0]
    low = min(round((1 - SLACK) * high), high - 2 * max(steps))
    return max(low, 0), high


def weight_bytes(params: int, dtype: torch.dtype) -> int:
    return params * dtype.itemsize


def cache_bytes(space: LlmSubnet, dtype: torch.dtype) -> int:
    """Keys and values of one sequence in the whole model; a sub-network's are no more."""
    g = space.geometry
    return 2 * g.layers * g.kv_heads * g.head * min(CONTEXT, g.positions) * dtype.itemsize


def _number(text: str, units: dict[str, float], option: str, like: str) -> float:
    match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", text, re.IGNORECASE)
    if match and match[2].upper() in units:
        try:
            number = float(match[1]) * units[match[2].upper()]
        except ValueError:
            number = 0.0
        if number > 0 and math.isfinite(number):
            return number
    raise UsageError(f"{option} {text}: not a size.\n  write it like {option} {like}")


def _up(value: float) -> float:
    """Rounded up to three digits behind the point."""
    return math.ceil(1e3 * value) / 1e3


def too_slow(budget: Budget, found: float) -> UntrainedError:
    """Where no sub-network of the search was fast enough."""
    return UntrainedError(
        f"none of the best sub-networks met {budget.asked}; the fastest took {found:.2f} ms.\n"
        f"  ask for what can be had here: --latency {_up(1.05 * found)}ms, or search for longer: --trials N"
    )
