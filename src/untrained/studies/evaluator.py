"""Measures one architecture: what is cheap and can turn it away first, nothing after it has been."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, MeasurementFailed, UsageError
from untrained.core.metric import Measurement, Metric
from untrained.core.where import Clause, Where
from untrained.studies.events import Outcome

LONGEST = 400  # characters of a reason; somebody else's exception may quote a whole tensor
JOINT = "; "  # between the clauses of a reason; no clause can hold one

ProbeOf = Callable[[Architecture, int, Sequence[str]], Any]
"""(architecture, seed, what its metrics will need) -> what they look at"""


class Evaluator:
    """A function from an architecture to an `Outcome`.

    Clauses of `where` are tested as soon as their numbers are known: first the architecture's own numeric
    choices and what `count` gives in closed form, before any weight exists; then costs; then proxies.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        probe: ProbeOf,
        *,
        where: Where | None = None,
        count: Callable[[Architecture], Mapping[str, float]] | None = None,
        cost_probe: ProbeOf | None = None,
        trained_probe: ProbeOf | None = None,
        also: Sequence[str] = (),
        fidelities: Sequence[str] = (),
        goals: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        """`probe` builds what proxies look at; costs and trained metrics have their own (else the same one).

        `count` gives numbers that need no network, by metric label. Metrics whose label is in `also`
        come last, and a failure of theirs is noted without making the trial a failed one. At one of the
        `fidelities`, labels of metrics, only that one is measured and the costs that `where` names; the
        others are not measured but at their own turn, unless they are among `goals` or `also`.
        """
        self.where, self.count, self.seed = where or Where(), count, seed
        self.probes = {"cost": cost_probe or probe, "trained": trained_probe or probe}
        self.probe = probe
        self.also = frozenset(also) - {m.label for m in metrics if self._constrains(m)}
        ordered = [(m.label, m) for m in sorted(metrics, key=self._turn)]
        only = set(fidelities) - set(goals) - set(also)
        full = [(label, m) for label, m in ordered if label not in only or self._constrains(m)]
        costs = [(label, m) for label, m in ordered if m.kind == "cost" and self._constrains(m)]
        cheap = [
            costs + [(label, m) for label, m in ordered if label == f and (label, m) not in costs]
            for f in fidelities
        ]
        self.plans: dict[int | None, list[tuple[str, Metric]]] = {None: full, **dict(enumerate(cheap))}
        self.needs = {
            turn: tuple({need: None for _, m in plan if m.kind != "cost" for need in m.needs})
            for turn, plan in self.plans.items()
        }
        self.wanted = {m.label for m in metrics} | set(self.where.names)

    def __call__(self, arch: Architecture, fidelity: int | None = None, draw: int = 0) -> Outcome:
        """Never raises for a bad network; a question that cannot be asked (UsageError) is raised."""
        return _Visit(self, arch, fidelity, draw).outcome()

    def turned_away(self, arch: Architecture) -> Outcome | None:
        """The rejection of an architecture by numbers that need no network; None where they do not."""
        if not self.where.clauses:
            return None
        visit = _Visit(self, arch, None, 0)
        try:
            return visit.first()
        except MeasurementFailed:
            return None  # the whole measurement says why

    def _constrains(self, metric: Metric) -> bool:
        return any(name == metric.label or name.startswith(f"{metric.label}.") for name in self.where.names)

    def _turn(self, metric: Metric) -> tuple[bool, ...]:
        """Sorts: constraints, then objectives, then the rest; costs first; what is slow or timed last."""
        return (
            metric.label in self.also,
            not self._constrains(metric),
            metric.kind != "cost",
            metric.kind == "trained",
            "device" in metric.needs,
        )


class _Visit:
    """One architecture on its way through the metrics."""

    def __init__(self, plan: Evaluator, arch: Architecture, fidelity: int | None, draw: int) -> None:
        self.plan, self.arch, self.fidelity, self.seed = plan, arch, fidelity, plan.seed + draw
        self.values: dict[str, float] = {}
        self.waiting = list(plan.where.clauses)
        self.probes: dict[ProbeOf, Any] = {}
        self.given: dict[str, float] = {}

    def outcome(self) -> Outcome:
        notes: list[str] = []
        try:
            if (away := self.first()) is not None:
                return away
            for label, metric in self.plan.plans[self.fidelity]:
                try:
                    self._measure(label, metric)
                except MeasurementFailed as error:
                    if label not in self.plan.also:
                        raise
                    notes.append(steady(str(error)))
                if broken := self._broken():
                    return self._rejected(broken)
            if self.fidelity is None:
                self._all_tested()
        except MeasurementFailed as error:
            return Outcome("failed", self.values, steady(str(error)))
        return Outcome("ok", self.values, JOINT.join(notes) or None)

    def first(self) -> Outcome | None:
        """The rejection by numbers that need no network, if there is one."""
        self.given = self._given()
        broken = self._broken()
        return self._rejected(broken) if broken else None

    def _given(self) -> dict[str, float]:
        """Numbers that need no network. Those that a constraint or a metric names become values."""
        choices = {k: float(v) for k, v in self.arch.choices if isinstance(v, int | float)}
        count = self.plan.count
        counted = {} if count is None else _guarded("count", lambda: dict(count(self.arch)))
        self.values.update({k: _finite(k, v) for k, v in counted.items() if k in self.plan.wanted})
        return {**choices, **counted}

    def _measure(self, label: str, metric: Metric) -> None:
        if label in self.values:
            return  # known in closed form
        make = self.plan.probes.get(metric.kind, self.plan.probe)
        if make not in self.probes:
            self.probes[make] = _guarded(
                "build", lambda: make(self.arch, self.seed, self.plan.needs[self.fidelity])
            )
        probe = self.probes[make]
        result: Measurement = _guarded(metric.name, lambda: metric(probe, seed=self.seed))
        if result.value is None:
            raise MeasurementFailed(result.reason or f"{metric.name}: no value")
        self.values[label] = _finite(label, result.value)
        for part, value in result.parts.items():
            self.values[f"{label}.{part}"] = _finite(f"{label}.{part}", value)

    def _broken(self) -> list[Clause]:
        """The clauses that can be tested by now and do not hold."""
        if not self.waiting:
            return []
        known = {**self.given, **self.values}
        ready = [c for c in self.waiting if known.keys() >= set(c.names)]
        self.waiting = [c for c in self.waiting if c not in ready]
        return [c for c in ready if not c.holds(known)]

    def _rejected(self, broken: list[Clause]) -> Outcome:
        known = {**self.given, **self.values}
        far = math.fsum(c.violation(known) for c in broken)
        return Outcome("rejected", self.values, JOINT.join(c.text for c in broken), far)

    def _all_tested(self) -> None:
        if self.waiting:
            known = {**self.given, **self.values}
            lacking = [name for clause in self.waiting for name in clause.names if name not in known]
            raise MeasurementFailed(f"the constraint names {lacking[0]!r}, which this network does not have")


def _guarded(what: str, work: Callable[[], Any]) -> Any:
    """Runs a plug-in; whatever it raises becomes a reason, but for Ctrl-C and for what the user must mend."""
    try:
        return work()
    except MeasurementFailed:
        raise
    except MemoryError:
        raise MeasurementFailed(f"{what}: out of memory") from None
    except Exception as error:
        # A missing package or text would fail every trial alike: that ends the search, with its advice.
        if isinstance(error, UsageError) and not isinstance(error, InvalidArchitecture):
            raise
        raise MeasurementFailed(f"{what}: {type(error).__name__}: {error}") from None


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise MeasurementFailed(f"{name}: the value is {value}")
    return float(value)


def steady(reason: str) -> str:
    """A reason without what differs from run to run: addresses, free memory, native stack traces."""
    text = re.sub(r"(?i)(out of memory)\b.*", r"\1", reason, flags=re.S)
    text = text.partition("\nException raised from")[0]
    text = re.sub(r"\b0x[0-9a-fA-F]+\b", "0x...", text)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
