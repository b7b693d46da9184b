"""The loop: ask, measure, write down, tell. Resuming is replaying what was written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from untrained.core.architecture import Architecture
from untrained.core.errors import UntrainedError, UsageError
from untrained.core.strategy import Strategy
from untrained.core.study import EventLog, Question, Study, Trial
from untrained.studies import events
from untrained.studies.evaluator import JOINT
from untrained.studies.events import Outcome

Evaluate = Callable[[Architecture], Outcome]
Progress = Callable[[int, int, Trial], None]


def run(
    question: Question,
    *,
    strategy: Strategy,
    evaluate: Evaluate,
    log: EventLog,
    trials: int,
    resume: bool = False,
    progress: Progress | None = None,
) -> Study:
    """Searches until the log holds `trials` trials; the log is the caller's to close.

    With `resume` it goes on where the log ends, and ends with the same log as a run that was never
    stopped. An architecture that was asked for before is not measured again. `progress(done, total,
    trial)` is called after each new trial. Raises UsageError where the log has another question.
    """
    known = _past(question, log, resume=resume)
    first = {trial.architecture.id: trial for trial in known if trial.same_as is None}
    for trial in known:
        strategy.tell(trial)
    for number in range(len(known), trials):
        arch = _asked(strategy, Random(f"{question.seed}/{number}"))  # luck depends on these two alone
        if (earlier := first.get(arch.id)) is not None:
            trial = events.repeat(number, earlier)
        else:
            trial = first[arch.id] = events.judge(question, number, arch, evaluate(arch))
        log.append("trial", events.trial_body(trial))
        strategy.tell(trial)
        known.append(trial)
        if progress is not None:
            progress(number + 1, trials, trial)
    return Study(question, known, log.location)


def rejections(study: Study) -> Counter[str]:
    """How many trials each clause of the constraint turned away; one that broke two counts for both."""
    turned = (t.reason for t in study.trials if t.status == "rejected" and t.reason)
    return Counter(clause for reason in turned for clause in reason.split(JOINT))


def _past(question: Question, log: EventLog, *, resume: bool) -> list[Trial]:
    """The trials of an earlier run of the same question; writes the question into an empty log."""
    logged, known = events.read(log)
    if logged is None:
        log.append("question", events.question_body(question))
        return known
    if not resume:
        raise UsageError(
            f"the store {log.location} already holds a search with {len(known):,} trials.\n"
            f"  go on with it: --resume, or {events.ANOTHER}"
        )
    if wrong := events.differences(question, logged):
        listed = "\n  ".join(wrong)
        raise UsageError(
            f"the store {log.location} holds the answer to another question:\n  {listed}\n"
            f"  ask the same, or {events.ANOTHER} (more trials are fine)"
        )
    return known


def _asked(strategy: Strategy, rng: Random) -> Architecture:
    asked = strategy.ask(rng, 1)
    if len(asked) != 1:
        raise UntrainedError(
            f"the strategy {strategy.name or type(strategy).__name__} was asked for 1 architecture"
            f" and gave {len(asked)}.\n  its ask(rng, n) has to return n of them"
        )
    return asked[0]
