"""How far the best values depend on the draw of weights and text: measured again, a few times."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from untrained.apps.report.command import typed
from untrained.apps.report.findings import Spread
from untrained.core.errors import UntrainedError
from untrained.core.space import Space
from untrained.core.study import Question, Trial
from untrained.core.text import Corpus

PATIENCE = 6.0  # seconds after which no further architecture is begun


def again(
    draws: int, corpus: Corpus | None, said: Callable[[str], None] = lambda _: None
) -> Callable[[Sequence[Trial], Question, Space | None], dict[str, Spread]]:
    """A function that measures the first objective of architectures in `draws` draws, best first.

    It leaves out what it cannot measure: a study of another text, of a metric that is not installed, or a
    part of one; `said` is told why. It stops after `PATIENCE` seconds.
    """

    def measured(trials: Sequence[Trial], question: Question, space: Space | None) -> dict[str, Spread]:
        from untrained.apps.probing import Lab, resolve
        from untrained.nn.numerics import quiet_numbers

        label = typed(question.objectives[0][0])
        if space is None:
            return {}
        if question.text != (corpus.sha256 if corpus else ""):
            said("no spread is told: the search read another text; name it: --text FILE")
            return {}
        found: dict[str, Spread] = {}
        try:
            (asked,) = resolve(label)
            lab = Lab(space, question.scale, corpus)
            end = time.monotonic() + PATIENCE
            with quiet_numbers():
                for trial in trials:
                    if time.monotonic() > end:
                        break
                    result = lab.measure(trial.architecture, [asked], draws)[asked.label]
                    if result.value is not None and result.spread is not None:
                        found[trial.architecture.id] = Spread(result.value, result.spread, draws)
        except UntrainedError as error:
            said(f"no spread is told: {str(error).partition(chr(10))[0]}")
        return found

    return measured
