"""The trials of a store one after another, without holding them all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from untrained.core.architecture import frozen
from untrained.core.errors import UsageError
from untrained.core.study import Question, Trial
from untrained.studies import events
from untrained.studies.store import Store


def stream(log: Store, question: Question) -> Iterator[Trial]:
    """Every trial, oldest first, in the memory of some thousand; equal to those that `load` gives.

    Raises BadStore where the log does not hang together.
    """
    position = 0
    for chunk in log.chunks():
        bodies = [body for kind, body in chunk if kind == "trial"]
        known = {body["number"]: body for body in bodies if "same_as" not in body}
        wanted = {body["same_as"] for body in bodies if "same_as" in body} - known.keys()
        known |= log.bodies(sorted(wanted))
        for body in bodies:
            yield _trial(log, question, body, known, position)
            position += 1


def trial(log: Store, question: Question, number: int) -> Trial:
    """The trial of that number, also a repeat. Raises UsageError where there is none."""
    found = log.bodies([number])
    if number not in found:
        raise UsageError(f"the study {log.study!r} has no trial {number}")
    same = found[number].get("same_as")
    known = found if same is None else log.bodies([same])
    return _trial(log, question, found[number], known, number)


def value_names(log: Store, question: Question) -> list[str]:
    """Names of all values that some trial has, objectives first; reads the whole log."""
    measured = {name for _, body in log.events() for name in body.get("values", ())}
    objectives = [name for name, _ in question.objectives]
    return [*objectives, *sorted(measured - set(objectives))]


def _trial(
    log: Store, question: Question, body: dict[str, Any], known: dict[int, dict[str, Any]], position: int
) -> Trial:
    try:
        if body["number"] != position:
            raise ValueError(f"trial {body['number']} in its place")
        if (same := body.get("same_as")) is None:
            return events.trial_of(question, body)
        earlier = events.trial_of(question, known[same])
        return events.repeat(position, earlier, frozen(body.get("note")))
    except events.UNREADABLE as error:
        raise events.damaged(log.location, f"event {position + 1}", error) from None
