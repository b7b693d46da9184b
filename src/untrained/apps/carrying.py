"""Whether what the labels of one table teach may be told of another: it must hold beyond its own range."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from untrained.apps.labelled import Known, Rows
from untrained.core.concordance import order_gain
from untrained.core.predictor import Predictor

PARTS = 5  # of the labelled, by the prior
SURE = 2.0  # standard errors that the gain must be above 0: 19 in 20 that it is not luck


def holds_beyond(known: Known, make: Callable[[], Predictor], rows: Rows) -> bool:
    """Whether a correction to the prior is right where it was not learned.

    The labelled networks are cut into fifths by the prior. Each fifth is told from the other four, so that
    the worst and the best ones lie outside of what was learned from, and the others in a gap; within fifths
    the order that results is held against that of the prior. A correction passes that has more pairs right,
    by 2 standard errors. What passes may still be wrong of another table, where it may be the other way
    round: no label of the first can tell.
    """
    order = rows[np.argsort(known.codes[rows, 0], kind="stable")]
    parts = np.array_split(order, min(PARTS, max(2, len(order) // 2)))
    told: list[float] = []
    for part in parts:
        rest = np.setdiff1d(order, part)
        if not np.ptp(known.label[rest]):
            return False
        fitted = make().fit(known.codes[rest], known.label[rest], known.codes)
        told += fitted.predict(known.codes[part])[0].tolist()
    group = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    gain, error = order_gain(told, known.codes[order, 0], known.label[order], group)
    return gain > 0 and gain >= SURE * error
