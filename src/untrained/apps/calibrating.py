"""What labels buy: predictors that learn from N trained networks, scored on networks they never saw."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from untrained.apps.carrying import holds_beyond
from untrained.apps.ceiling import Ceiling, ceiling
from untrained.apps.gaining import Gained
from untrained.apps.labelled import NONE, Known, Rows
from untrained.apps.parallel import Progress
from untrained.core.errors import UnknownName, UsageError
from untrained.core.named import construct
from untrained.core.predictor import Predictor
from untrained.core.statistics import hard_pairs, kendall_tau, spearman_rho, tau_better_half

Real = npt.NDArray[np.float64]

USUAL = (0, 20, 50, 100)  # labels
CHOICES = ("deviation", "improvement")
TESTED = 10  # architectures that must be left to be scored on
START = 10  # labels drawn by chance before the active choice begins, where deviations are learned from them
FRESH = 100  # architectures drawn from the space, for a table that has none left to train


@dataclass
class Calibration:
    """What `calibrate` found: one record a number of labels, from none on."""

    known: Known
    predictor: str
    records: list[dict[str, Any]]
    ceiling: Ceiling | None = None
    """what the noise of the labels would leave of a perfect score, where networks were trained twice"""
    next: list[dict[str, Any]] = field(default_factory=list)
    """architectures to train next, the most telling first"""
    notes: list[str] = field(default_factory=list)


def calibrate(
    known: Known,
    *,
    labels: Sequence[int] | None = None,
    predictor: str = "ridge_on_ranks",
    draws: int = 20,
    seed: int = 0,
    choice: str = "deviation",
    next: int = 0,
    progress: Progress | None = None,
) -> Calibration:
    """Agreement with the truth by the number of labels, over `draws` splits of the architectures.

    A split is the order of the SHA-256 of "seed/draw/id": its last architectures are scored on, the same for
    every number of labels, and none of them is ever labelled. Beside labels taken in that order stands the
    active choice: after the first 10 (2 where nothing is fitted but the correction, as its deviations need
    no labels) the predictor asks for those of largest `deviation`, or of largest expected `improvement`, a
    quarter more at a time (one at a time). Intervals are the 2.5 and 97.5 % quantiles over the
    draws; splits overlap, so they tell the luck of the draw and not that of the table. That is told by
    `gain_networks_low` to `_high` (of tau, without ties) and `hard_gain_low` to `_high`: the mean over draws,
    resampled over networks. Labels of another table that teach nothing which holds beyond their own range
    (`holds_beyond`) are not used: the order is that of the prior. `fell_back` is the share of such draws.
    """
    if choice not in CHOICES:
        raise UnknownName("active choice", choice, CHOICES, more="untrained calibrate --help")
    if draws < 1:
        raise UsageError(f"draws={draws}; take 1 or more")
    asked, notes = _asked(known, labels)
    count = _tested(known, max(asked))
    make = _maker(known, predictor)
    make()  # an unknown name or a missing package is told now
    found: dict[int, list[dict[str, float | None]]] = {n: [] for n in asked}
    gained = {n: Gained(known) for n in asked if n and known.prior != NONE}
    for draw in range(draws):
        split = _split(known, draw, seed, count)
        active = _active(known, make, split[0], asked, choice)
        for n in asked:
            found[n].append(_scored(known, make, split, n, active.get(n), gained.get(n)))
        if progress:
            progress(draw + 1, draws)
    records = [_record(n, found[n], found[0], known, count) for n in asked]
    for r in records:
        r |= gained[r["labels"]].record() if r["labels"] in gained else Gained.NOTHING
    to_train = _next(known, make, next, choice) if next else []
    return Calibration(known, predictor, records, ceiling(known), to_train, [*known.notes, *notes])


def _asked(known: Known, labels: Sequence[int] | None) -> tuple[list[int], list[str]]:
    """Numbers of labels, 0 first; of the usual ones those that leave enough to be scored on."""
    have, told = np.isfinite(known.label), np.isfinite(known.quality)
    if np.ptp(known.label[have]) == 0 if have.sum() > 1 else True:
        raise UsageError(
            f"{int(have.sum())} architectures have a label, and fewer than 2 are different: nothing to learn"
        )
    apart = int((have & ~told).sum())  # labels of architectures that are never scored on
    room = max(apart, int(have.sum()) - min(TESTED, int(told.sum())))
    if told.sum() < 2 or room < 2:
        raise UsageError(
            f"{int(have.sum())} labelled architectures are too few: {TESTED} are kept to be scored on, and 2"
            " or more must be learned from"
        )
    usual = (*USUAL, apart) if apart == have.sum() else USUAL  # the labels of another table: also all of them
    wanted = sorted({0, *(usual if labels is None else labels)})
    if bad := [n for n in wanted if n < 0 or n == 1]:
        raise UsageError(f"labels={bad[0]}: too few to learn from; take 0, or 2 or more")
    if labels is not None and wanted[-1] > room:
        raise UsageError(
            f"{wanted[-1]} labels of {int(have.sum())} leave fewer than {TESTED} architectures to be scored"
            " on.\n"
            f"  take at most {room}"
        )
    kept = [n for n in wanted if n <= room]
    left_out = [str(n) for n in wanted if n > room]
    return kept, [f"left out: {', '.join(left_out)} labels, of {int(have.sum())}"] if left_out else []


def _tested(known: Known, most: int) -> int:
    """How many are scored on, so that whichever they are `most` labels are left."""
    have, told = np.isfinite(known.label), np.isfinite(known.quality)
    if (have & ~told).sum() >= most:
        return int(told.sum())
    return min(int(told.sum()), int(have.sum()) - most)


def _maker(known: Known, predictor: str) -> Callable[[], Predictor]:
    prior = -1 if known.prior == NONE else 0
    return lambda: construct("predictor", predictor, prior=prior)


def _split(known: Known, draw: int, seed: int, count: int) -> tuple[Rows, Rows]:
    """(those that may be labelled, those that are scored on), as the hash orders them."""
    keys = [hashlib.sha256(f"{seed}/{draw}/{i}".encode()).hexdigest() for i in known.ids]
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__))
    test = order[np.isfinite(known.quality[order])][-count:]
    rest = order[~np.isin(order, test)]
    return rest[np.isfinite(known.label[rest])], test


def _fit(known: Known, make: Callable[[], Predictor], rows: Rows) -> Predictor | None:
    """The predictor of these labels; None where they are all the same, as a few may happen to be."""
    labels = known.label[rows]
    return make().fit(known.codes[rows], labels, known.codes) if np.ptp(labels) else None


def _scored(
    known: Known,
    make: Callable[[], Predictor],
    split: tuple[Rows, Rows],
    n: int,
    active: Rows | None,
    gained: Gained | None,
) -> dict[str, float | None]:
    train, test = split
    scores = _scores(known, make, train[:n], test)
    found = _agreement(known, scores, test)
    if gained is not None:
        gained.add(test, scores)
    if n and _carried(known):
        found["fell_back"] = float(np.array_equal(scores, known.codes[test, 0]))
    if active is not None:
        own = _agreement(known, _scores(known, make, active, test), test)
        found |= {"active_tau": own["tau"], "active_hard_pairs": own["hard_pairs"]}
    return found


def _scores(known: Known, make: Callable[[], Predictor], rows: Rows, test: Rows) -> Real:
    """Of the architectures scored on; by the prior alone, where there is one, without labels."""
    fitted = _fit(known, make, rows) if len(rows) else None
    if fitted is not None and (not _carried(known) or holds_beyond(known, make, rows)):
        return fitted.predict(known.codes[test])[0]
    return known.codes[test, 0] if known.prior != NONE else np.zeros(len(test))


def _carried(known: Known) -> bool:
    """Whether there is a prior to fall back to, and reason to."""
    return known.carried and known.prior != NONE


def _agreement(known: Known, score: Real, test: Rows) -> dict[str, float | None]:
    quality = known.quality[test]
    share = None
    if known.size is not None:
        share = hard_pairs(score, quality, known.size[test], min_gap=known.gap)[0]
    return {
        "tau": kendall_tau(score, quality),
        "rho": spearman_rho(score, quality),
        "tau_better_half": tau_better_half(score, quality),
        "hard_pairs": share,
    }


def _active(
    known: Known, make: Callable[[], Predictor], train: Rows, asked: Sequence[int], choice: str
) -> dict[int, Rows]:
    """Which rows the predictor would have labelled, for each number of labels."""
    found: dict[int, Rows] = {}
    gated = make().gated
    rows = train[: min([START if gated else 2, *(n for n in asked if n)])]
    for n in filter(None, asked):
        while len(rows) < n:
            left = train[~np.isin(train, rows)]
            more = min(max(1, len(rows) // 4) if gated else 1, n - len(rows))
            worth = _worth(known, make, rows, left, choice)
            rows = np.concatenate([rows, left[np.argsort(-worth, kind="stable")[:more]]])
        found[n] = rows[:n]
    return found


def _worth(known: Known, make: Callable[[], Predictor], rows: Rows, left: Rows, choice: str) -> Real:
    fitted = _fit(known, make, rows)
    if fitted is None:
        return np.zeros(len(left))
    mean, deviation = fitted.predict(known.codes[left])
    if choice == "deviation":
        return deviation
    best = float(fitted.predict(known.codes[rows])[0].max())
    return _improvement(mean - best, deviation)


def _improvement(above: Real, deviation: Real) -> Real:
    """Expected improvement, by which a normal guess is above the best, in the mean."""
    normal = NormalDist()
    safe = np.where(deviation > 0, deviation, 1.0)
    z = above / safe
    inside = np.array([normal.cdf(v) for v in z]), np.array([normal.pdf(v) for v in z])
    return np.where(deviation > 0, above * inside[0] + safe * inside[1], above.clip(min=0.0))


def _record(
    n: int,
    draws: Sequence[dict[str, float | None]],
    without: Sequence[dict[str, float | None]],
    known: Known,
    tested: int,
) -> dict[str, Any]:
    tau, base = _column(draws, "tau"), _column(without, "tau")
    low, high = np.quantile(tau, [0.025, 0.975])
    gain_low, gain_high = np.quantile(tau - base, [0.025, 0.975])
    active = _column(draws, "active_tau") if n else np.array([])
    return {
        "labels": n,
        "tau": float(tau.mean()),
        "tau_low": float(low),
        "tau_high": float(high),
        "rho": float(_column(draws, "rho").mean()),
        "tau_better_half": float(_column(draws, "tau_better_half").mean()),
        "hard_pairs": _average(_column(draws, "hard_pairs")),
        "draws": len(draws),
        "tested": tested,
        "gain": float((tau - base).mean()),
        "gain_low": float(gain_low),
        "gain_high": float(gain_high),
        "no_worse": float((tau >= base).mean()),
        "active_tau": _average(active),
        "active_tau_low": float(np.quantile(active, 0.025)) if len(active) else None,
        "active_tau_high": float(np.quantile(active, 0.975)) if len(active) else None,
        "active_hard_pairs": _average(_column(draws, "active_hard_pairs")) if n else None,
        "fell_back": _average(_column(draws, "fell_back")),
        "prior": known.prior,
    }


def _column(draws: Sequence[dict[str, float | None]], name: str) -> Real:
    """Of the draws that have it: a small test may have no hard pair."""
    return np.array([v for d in draws if (v := d.get(name)) is not None])


def _average(values: Real) -> float | None:
    return float(values.mean()) if len(values) else None


def _next(known: Known, make: Callable[[], Predictor], number: int, choice: str) -> list[dict[str, Any]]:
    """The architectures without a label that are worth the most to train."""
    rows = np.flatnonzero(np.isfinite(known.label))
    left = np.flatnonzero(~np.isfinite(known.label))
    if not len(left):
        raise UsageError(
            "every architecture of this table is trained, so there is none to train next.\n"
            "  in a CSV, leave the truth of the candidates empty"
        )
    fitted = _fit(known, make, rows)
    assert fitted is not None, "labels that are all the same were refused before"
    mean, deviation = fitted.predict(known.codes[left])
    above = mean - float(fitted.predict(known.codes[rows])[0].max())
    improvement = _improvement(above, deviation)
    worth = deviation if choice == "deviation" else improvement
    return [
        {
            "rank": place,
            "arch": known.ids[left[i]],
            "key": known.keys[left[i]],
            "mean": float(mean[i]),
            "deviation": float(deviation[i]),
            "improvement": float(improvement[i]),
        }
        for place, i in enumerate(np.argsort(-worth, kind="stable")[:number].tolist(), start=1)
    ]
