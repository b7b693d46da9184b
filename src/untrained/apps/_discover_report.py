"""Formulas against hand-made proxies, on networks that had no part in the search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from untrained.apps._discover_judging import Judge
from untrained.apps._discover_networks import Field, Floats, Side
from untrained.core.formula import Node
from untrained.core.statistics import kendall_tau_a, paired_bootstrap

DRAWS = 1_000


class Report:
    """Formulas against hand-made proxies on both halves."""

    def __init__(
        self,
        fields: Sequence[Field],
        training: Sequence[Side],
        outside: Sequence[Side],
        rivals: Sequence[str],
    ) -> None:
        self.fields, self.training, self.outside, self.names = fields, training, outside, rivals
        self.inside_judge, self.outside_judge = Judge(training, 0), Judge(outside, 0)
        self.rivals = [self._rival(a, b, rivals) for a, b in zip(training, outside, strict=True)]

    def _rival(self, training: Side, outside: Side, names: Sequence[str]) -> str | None:
        """The best hand-made proxy by the training half, of those with a value on every network."""
        able = [n for n in names if all(n in x.values for s in (training, outside) for x in s.looks)]
        return max(able, key=lambda n: kendall_tau_a(_column(training, n), training.quality), default=None)

    def measurable(self, node: Node) -> bool:
        return (
            node.inputs <= set(self.outside_judge.sheet.inputs)
            and self.outside_judge.values(node) is not None
        )

    def records(self, rank: int, node: Node) -> list[dict[str, Any]]:
        inner, outer = self.inside_judge.values(node), self.outside_judge.values(node)
        assert inner is not None, "a formula without values on the training half was kept"
        assert outer is not None, "a formula without values on the held-out half was kept"
        found = []
        for i, (f, a, b) in enumerate(zip(self.fields, self.training, self.outside, strict=True)):
            record = {
                "rank": rank,
                "formula": str(node),
                "benchmark": f.benchmark.name,
                "target": f.target.name,
                "n_training": len(a.archs),
                "n_held_out": len(b.archs),
                "tau_a_training": kendall_tau_a(inner[i], a.quality),
                "tau_a_held_out": kendall_tau_a(outer[i], b.quality),
            }
            found.append(record | self._against(self.rivals[i], a, b, outer[i]))
        return found

    def _against(self, rival: str | None, a: Side, b: Side, mine: Floats) -> dict[str, Any]:
        if rival is None:
            keys = ("rival", "rival_tau_a_training", "rival_tau_a_held_out", "minus_rival")
            return dict.fromkeys((*keys, "minus_rival_low", "minus_rival_high"))
        theirs = _column(b, rival)
        difference, low, high = paired_bootstrap(kendall_tau_a, mine, theirs, b.quality, draws=DRAWS)
        return {
            "rival": rival,
            "rival_tau_a_training": kendall_tau_a(_column(a, rival), a.quality),
            "rival_tau_a_held_out": kendall_tau_a(theirs, b.quality),
            "minus_rival": difference,
            "minus_rival_low": low,
            "minus_rival_high": high,
        }

    def verdict(self, node: Node) -> str:
        """Whether the mean over the benchmarks of tau-a is surely above that of hand-made proxies.

        Above that of the best in each benchmark, which may be a different one in each, and above that of
        the best one that scores all the networks; both are chosen by the training half.
        """
        values = self.outside_judge.values(node)
        assert values is not None, "a formula without values on the held-out half was kept"
        if any(r is None for r in self.rivals):
            return "No hand-made proxy has a value on every network, so the formula is compared with none."
        own = [str(r) for r in self.rivals]
        where = ", ".join(f"{r} on {s.benchmark}" for r, s in zip(own, self.outside, strict=True))
        said = (
            f"On the held-out half the formula {self._compared(values, own, f'the best of each ({where})')}"
        )
        alone = self._single()
        if alone is None or set(own) == {alone}:
            return f"{said}."
        return f"{said}; it {self._compared(values, [alone] * len(own), f'{alone}, the best for all')}."

    def _single(self) -> str | None:
        """The best by the training halves of those that have a value on every network of all benchmarks."""
        sides = [*self.training, *self.outside]
        able = [n for n in self.names if all(n in x.values for s in sides for x in s.looks)]
        return max(
            able,
            key=lambda n: math.fsum(kendall_tau_a(_column(s, n), s.quality) for s in self.training),
            default=None,
        )

    def _compared(self, values: Sequence[Floats], rivals: Sequence[str], who: str) -> str:
        pairs = [
            (mine, _column(side, rival), side.quality)
            for mine, side, rival in zip(values, self.outside, rivals, strict=True)
        ]
        mean = [math.fsum(kendall_tau_a(p[k], p[2]) for p in pairs) / len(pairs) for k in (0, 1)]
        low, high = _mean_interval(pairs)
        said = "beats" if low > 0 else "loses to" if high < 0 else "does not surely differ from"
        return (
            f"{said} {who}: mean tau-a {mean[0]:.3f} against {mean[1]:.3f}, difference"
            f" {mean[0] - mean[1]:+.3f} [{low:+.3f}, {high:+.3f}]"
        )


def _column(side: Side, name: str) -> Floats:
    return np.array([x.values[name] for x in side.looks])


def _mean_interval(pairs: Sequence[tuple[Floats, Floats, Floats]]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over benchmarks of the difference of tau-a."""
    rng, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        total = 0.0
        for mine, theirs, quality in pairs:
            i = rng.integers(len(quality), size=len(quality))
            total += kendall_tau_a(mine[i], quality[i]) - kendall_tau_a(theirs[i], quality[i])
        found.append(total / len(pairs))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
