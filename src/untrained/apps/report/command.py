"""The command line that asks a question again."""

from __future__ import annotations

import shlex

from untrained.core.study import Question


def command(question: Question, trials: int, *, store: str = "again.db", text: str = "FILE") -> str:
    """What to type for the same search; `text` stands for the file whose SHA-256 the question holds."""
    words = ["untrained", "search", question.space]
    for label, better in question.objectives:
        words += ["--maximize" if better == "higher" else "--minimize", typed(label)]
    if question.where:
        words += ["--where", question.where]
    words += ["--strategy", question.strategy, "--trials", str(trials), "--seed", str(question.seed)]
    words += ["--scale", question.scale]
    for name in question.also:
        words += ["--also", name]
    if question.text:
        words += ["--text", text]
    return shlex.join([*words, "--store", store])


def typed(label: str) -> str:
    """A value's name as one types it: `latency:batch=4.p10` in a log is `latency.p10:batch=4`."""
    name, colon, settings = label.partition(":")
    before, dot, part = settings.rpartition(".")
    if not (colon and dot and part.isidentifier()):  # 0.5 is a value, not a part called 5
        return label
    return f"{name}.{part}:{before}"


def metric_name(label: str) -> str:
    """The bare name of the metric that a value belongs to."""
    return label.partition(":")[0].partition(".")[0]


def in_a_line(question: Question) -> str:
    """The question in a line, for lists of studies."""
    goals = [f"{'max' if better == 'higher' else 'min'} {name}" for name, better in question.objectives]
    limits = f" where {question.where}" if question.where else ""
    return f"{question.space}: {', '.join(goals)}{limits}; {question.strategy}, seed {question.seed}"
