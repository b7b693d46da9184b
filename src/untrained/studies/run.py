"""The loop: ask, measure, write down, tell. Resuming is replaying what was written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from untrained.core.architecture import Architecture
from untrained.core.errors import UntrainedError, UsageError
from untrained.core.strategy import Ask, Strategy
from untrained.core.study import EventLog, Question, Study, Trial
from untrained.studies import events
from untrained.studies.control import Control, Stopped
from untrained.studies.evaluator import JOINT
from untrained.studies.events import Key, Outcome
from untrained.studies.executors import Executor

Progress = Callable[[int, int, Trial], None]
TRIES = 8  # asks for something that no worker is at, before it is asked for twice
TurnAway = Callable[[Architecture], Outcome | None]


def run(
    question: Question,
    *,
    strategy: Strategy,
    executor: Executor,
    log: EventLog,
    trials: int,
    resume: bool = False,
    turned_away: TurnAway | None = None,
    progress: Progress | None = None,
    control: Control | None = None,
) -> Study:
    """Searches until the log holds `trials` trials; log and executor are the caller's to close.

    With `resume` it goes on where the log ends. A synchronous search then ends with the same log as one
    that was never stopped, whatever the number of workers. What was measured before is not measured again.
    `turned_away` gives the rejections that need no network, which then never travel to a worker.
    `progress(done, total, trial)` is called for each new trial as soon as it is durable. Through `control`
    people may ask for more trials, or for an end: `Stopped`, which is a KeyboardInterrupt. Raises UsageError
    where the log has another question.
    """
    known = _past(question, log, resume=resume)
    search = _Search(question, strategy, executor, log, trials, turned_away, progress, known, control)
    try:
        if control is not None:
            control.announce(trials)
        if question.synchronous:
            search.in_batches()
        else:
            search.as_they_come()
    except KeyboardInterrupt:
        search.close()
        raise
    search.close()
    return Study(question, known, log.location)


class _Search:
    """One run, and what it has found so far."""

    def __init__(
        self,
        question: Question,
        strategy: Strategy,
        executor: Executor,
        log: EventLog,
        trials: int,
        turned_away: TurnAway | None,
        progress: Progress | None,
        known: list[Trial],
        control: Control | None,
    ) -> None:
        self.question, self.strategy, self.executor = question, strategy, executor
        self.log, self.trials, self.turned_away, self.progress = log, trials, turned_away, progress
        self.known, self.control = known, control
        self.reported = len(known)
        self.first: dict[Key, Trial] = {events.key(t): t for t in known if t.same_as is None}

    # --- in batches: the same for any number of workers ----------------------------------------------

    def in_batches(self) -> None:
        """Asks for a whole batch, measures it in any order, writes and tells it in the order of asking.

        A batch that an earlier run left half-written is asked for again, which gives the same one.
        """
        size, told, asked = self.question.batch, 0, -1
        asks: list[Ask] = []
        while self.goes_on():
            start = len(self.known) // size * size
            for trial in self.known[told:start]:
                self.strategy.tell(trial)
            told = start
            if start != asked:  # else the batch was cut short, and then more were asked for
                asks, asked = self._asked(Random(f"{self.question.seed}/{start}"), size), start
                self._check_past(asks, start)
            self._batch(asks[len(self.known) - start : self.trials - start])
        for trial in self.known[told:]:
            self.strategy.tell(trial)

    def _batch(self, asks: Sequence[Ask]) -> None:
        """Writes every trial as soon as all before it are written, so that little is lost."""
        outcomes: dict[int, Outcome] = {}
        sent: set[Key] = set()
        for i, ask in enumerate(asks):
            key = events.key(ask)
            if key not in self.first and key not in sent:
                sent.add(key)
                self._submit(i, ask, outcomes)
        for i, ask in enumerate(asks):
            key = events.key(ask)
            while key not in self.first and i not in outcomes:
                ticket, outcome = self.executor.wait()
                outcomes[ticket] = outcome
            self._write(ask, outcomes.pop(i, None))

    def _check_past(self, asks: Sequence[Ask], start: int) -> None:
        """Raises UntrainedError where the log's last batch is not what the strategy asks for now."""
        for trial, ask in zip(self.known[start:], asks, strict=False):
            if events.key(trial) != events.key(ask):
                raise UntrainedError(
                    f"the store {self.log.location} cannot be resumed: trial {trial.number} is"
                    f" {trial.architecture.id} there, and the strategy now asks for {ask.architecture.id}.\n"
                    "  the strategy, the space or a package has changed since: use the old ones, or\n"
                    f"  {events.ANOTHER}"
                )

    # --- as they come: faster, and dependent on timing ---------------------------------------------

    def as_they_come(self) -> None:
        """Keeps every slot busy; trials are numbered, written and told in the order in which they end."""
        for trial in self.known:
            self.strategy.tell(trial)
        asked = len(self.known)  # luck goes on where the log ends
        flying: dict[int, list[Ask]] = {}  # by ticket, the one that was sent and its equals
        tickets: dict[Key, int] = {}
        while self.goes_on():
            early: dict[int, Outcome] = {}
            while sum(map(len, flying.values())) < min(self.executor.slots, self.trials - len(self.known)):
                for _ in range(TRIES):  # a strategy does not know what is under way
                    (ask,) = self._asked(Random(f"{self.question.seed}/{asked}"), 1)
                    asked += 1
                    key = events.key(ask)
                    if key not in tickets:
                        break
                if key in self.first:
                    self._told(ask, None)
                elif key in tickets:
                    flying[tickets[key]].append(ask)
                else:
                    flying[asked], tickets[key] = [ask], asked
                    self._submit(asked, ask, early)
                    if early:
                        break
            if not flying:
                continue
            ticket, outcome = early.popitem() if early else self.executor.wait()
            first, *equal = flying.pop(ticket)
            del tickets[events.key(first)]
            self._told(first, outcome)
            for ask in equal:
                self._told(ask, None)

    def _told(self, ask: Ask, outcome: Outcome | None) -> None:
        if len(self.known) < self.trials:
            self.strategy.tell(self._write(ask, outcome))

    # --- both ----------------------------------------------------------------------------------------

    def goes_on(self) -> bool:
        """Whether trials are missing; before the end it is asked once more whether somebody wants more."""
        if len(self.known) >= self.trials:
            self.heed(now=True)
        return len(self.known) < self.trials

    def heed(self, *, now: bool = False) -> None:
        """Does what people have asked for. Raises Stopped where they want an end."""
        if self.control is None:
            return
        wishes = self.control.look(now=now)
        if wishes.trials > self.trials:
            self.trials = wishes.trials
            self.control.correct(self.trials)
        if wishes.stop and len(self.known) < self.trials:
            raise Stopped

    def _submit(self, ticket: int, ask: Ask, outcomes: dict[int, Outcome]) -> None:
        """To a worker, unless a number that needs no network turns it away here."""
        away = self.turned_away(ask.architecture) if self.turned_away else None
        if away is None:
            self.executor.submit(ticket, ask)
        else:
            outcomes[ticket] = away

    def _write(self, ask: Ask, outcome: Outcome | None) -> Trial:
        number, key = len(self.known), events.key(ask)
        if (earlier := self.first.get(key)) is not None:
            trial = events.repeat(number, earlier, ask.note)
        else:
            assert outcome is not None, "only what was measured before has no outcome of its own"
            trial = self.first[key] = events.judge(self.question, number, ask, outcome)
        self.log.append("trial", events.trial_body(trial))
        self.known.append(trial)
        self.report()
        self.heed()
        return trial

    def close(self) -> None:
        """Makes durable what is in memory, and tells of it."""
        self.log.flush()
        self.report()

    def report(self) -> None:
        """Tells of what a killed process would not lose: the question is the log's first event."""
        if self.progress is None:
            return
        while self.reported < min(self.log.safe - 1, len(self.known)):
            self.reported += 1
            self.progress(self.reported, self.trials, self.known[self.reported - 1])

    def _asked(self, rng: Random, n: int) -> list[Ask]:
        asked = [Ask.of(a) for a in self.strategy.ask(rng, n)]
        if len(asked) != n:
            raise UntrainedError(
                f"the strategy {self.strategy.name or type(self.strategy).__name__} was asked for"
                f" {n} architecture{'s' if n > 1 else ''} and gave {len(asked)}.\n"
                "  its ask(rng, n) has to return n of them"
            )
        return asked


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
