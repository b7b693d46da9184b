"""What the log of a study says, and back. Nothing is written twice: scores follow from values.

    question  the fields of `Question`
    trial     {"architecture", "number", "status", "values", "reason"?, "fidelity"?, "draw"?, "note"?,
               "violation"?}
    trial     {"number", "same_as", "note"?}: equal to an earlier one in everything but number and note

No event holds a time, a host or a process, so that equal searches have equal logs, byte for byte.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from untrained.core.architecture import Architecture, frozen
from untrained.core.errors import BadStore, InvalidArchitecture
from untrained.core.strategy import Ask
from untrained.core.study import EventLog, Question, Trial

ANOTHER = "name another store: --store NAME.db"


@dataclass(frozen=True)
class Outcome:
    """What measuring one architecture came to."""

    status: str
    """`ok`, `rejected` or `failed`"""
    values: Mapping[str, float] = field(default_factory=dict)
    """metric as typed -> value; parts as `metric.part`"""
    reason: str | None = None
    violation: float = 0.0
    """how far outside the constraint; 0 unless rejected"""


Key = tuple[str, int | None, int]
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, InvalidArchitecture)
"""what reading raises for an event that nobody of us wrote"""


def key(asked: Ask | Trial) -> Key:
    """What was measured when it was measured: equal keys have equal numbers."""
    return asked.architecture.id, asked.fidelity, asked.draw


def judge(question: Question, number: int, ask: Ask, outcome: Outcome) -> Trial:
    """The trial that an outcome makes. A number that is missing or not finite makes it a failed one."""
    status, values, reason = outcome.status, dict(sorted(outcome.values.items())), outcome.reason
    goals = question.objectives if ask.fidelity is None else question.fidelities[ask.fidelity :][:1]
    scores: tuple[float, ...] = ()
    if bad := [name for name, value in values.items() if not math.isfinite(value)]:
        values = {name: value for name, value in values.items() if name not in bad}
        status, reason = "failed", f"{bad[0]}: the value is not finite"
    elif status == "ok" and (missing := [name for name, _ in goals if name not in values]):
        status, reason = "failed", f"{missing[0]}: this network has no such value"
    elif status == "ok":
        scores = tuple(values[name] if better == "higher" else -values[name] for name, better in goals)
    return Trial(
        number,
        ask.architecture,
        status,
        values,
        scores[0] if scores else None,
        scores,
        reason,
        None,
        ask.fidelity,
        ask.draw,
        ask.note,
        outcome.violation if status == "rejected" else 0.0,
    )


def repeat(number: int, earlier: Trial, note: Any = None) -> Trial:
    """A trial of what was measured before."""
    return replace(earlier, number=number, same_as=earlier.number, note=note)


def question_body(question: Question) -> dict[str, Any]:
    return asdict(question)


def trial_body(trial: Trial) -> dict[str, Any]:
    more = {} if trial.note is None else {"note": trial.note}
    if trial.same_as is not None:
        return {"number": trial.number, "same_as": trial.same_as, **more}
    body: dict[str, Any] = {
        "architecture": {"choices": dict(trial.architecture.choices), "space": trial.architecture.space},
        "number": trial.number,
        "status": trial.status,
        "values": dict(trial.values),
    }
    if trial.reason is not None:
        body["reason"] = trial.reason
    if trial.fidelity is not None:
        body["fidelity"] = trial.fidelity
    if trial.draw:
        body["draw"] = trial.draw
    if trial.violation:
        body["violation"] = trial.violation
    return {**body, **more}


def read(log: EventLog) -> tuple[Question | None, list[Trial]]:
    """Everything that a log says; raises BadStore where it does not hang together."""
    with _no_garbage_search():
        return _read(log)


def _read(log: EventLog) -> tuple[Question | None, list[Trial]]:
    question: Question | None = None
    trials: list[Trial] = []
    for position, (kind, body) in enumerate(log.events()):
        try:
            if kind == "question" and question is None:
                question = question_of(body)
            elif kind == "trial" and question is not None and body["number"] == len(trials):
                trials.append(_trial(question, trials, body))
            else:
                raise ValueError(f"an event {kind!r} out of place")
        except UNREADABLE as error:
            raise damaged(log.location, f"event {position}", error) from None
    return question, trials


def damaged(location: str, what: str, error: Exception) -> BadStore:
    """The error for a log of which a part cannot be read."""
    return BadStore(
        f"the store {location} is damaged: {what} cannot be read"
        f" ({type(error).__name__}: {error}).\n  restore a copy, or {ANOTHER}"
    )


@contextmanager
def _no_garbage_search() -> Iterator[None]:
    """Millions of small values without a cycle: looking for one took 20 of 35 us a trial."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def question_of(body: Mapping[str, Any]) -> Question:
    """The question that `question_body` wrote."""
    pairs = {
        field: tuple((name, better) for name, better in body.get(field, ()))
        for field in ("objectives", "fidelities")
    }
    return Question(**{**body, **pairs, "also": tuple(body["also"])})


def _trial(question: Question, trials: Sequence[Trial], body: dict[str, Any]) -> Trial:
    if (earlier := body.get("same_as")) is not None:
        return repeat(body["number"], trials[earlier], frozen(body.get("note")))
    return trial_of(question, body)


def trial_of(question: Question, body: Mapping[str, Any]) -> Trial:
    """The trial that `trial_body` wrote, unless it is equal to an earlier one."""
    arch = Architecture.from_json(body["architecture"])
    ask = Ask(arch, body.get("fidelity"), body.get("draw", 0), frozen(body.get("note")))
    outcome = Outcome(body["status"], body["values"], body.get("reason"), body.get("violation", 0.0))
    return judge(question, body["number"], ask, outcome)


def differences(asked: Question, logged: Question) -> list[str]:
    """One line a field in which two questions differ."""
    return [
        f"{f.name}: {getattr(logged, f.name)!r} there, {getattr(asked, f.name)!r} now"
        for f in fields(Question)
        if getattr(asked, f.name) != getattr(logged, f.name)
    ]
