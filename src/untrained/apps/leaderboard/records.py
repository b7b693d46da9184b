"""What is said of each score on one board: one record each, all numbers ready to be printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untrained.apps.correlation import SIZE, plain_orders
from untrained.apps.leaderboard.kept import called
from untrained.apps.leaderboard.measuring import Work, Works
from untrained.apps.leaderboard.tables import Board
from untrained.core import statistics
from untrained.core.metric import Metric

Floats = npt.NDArray[np.float64]
Record = dict[str, Any]

DRAWS = 1_000  # resamples of an interval
TESTS = 10_000  # resamples of a p-value: with fifty scores, Holm asks for one of 0.001 from the best
LEVEL = 0.05  # chance of calling any score of a board better than size that is not
DIGITS = 6  # of every number that is kept, so that a page can be made from its own records


@dataclass(frozen=True)
class Truth:
    """The networks of a board, as arrays: one entry a row."""

    quality: Floats
    """higher is better"""
    size: Floats
    ids: npt.NDArray[np.str_]
    gap: float


def board_record(works: Works, asked: Sequence[Metric]) -> Record:
    """A board with the records of its scores: plain orders first, each group best first."""
    board, metrics = works.board, works.main.metrics
    orders = _orders(board)
    plain = {n: v for n, v in orders.items() if np.isfinite(v).all() and np.ptp(v) > 0}
    truth = Truth(
        np.array([board.target.quality(r.truth[board.target.name]) for r in board.rows]),
        orders[SIZE],
        np.array([r.architecture.id for r in board.rows if r.architecture]),
        board.target.gap,
    )
    scores = [(m, _signed(works.main, m, works)) for m in metrics if m.label not in plain]
    able = [(m, v) for m, v in scores if _distinct(v, truth) >= 3]
    best = max(sorted(plain), key=lambda name: statistics.kendall_tau_a(plain[name], truth.quality))
    hardest = max(sorted(plain), key=lambda name: _hard(plain[name], truth))
    rows = [{"proxy": n, "plain": True, **_agreement(v, truth)} for n, v in plain.items()]
    own = []
    for m, v in able:
        record = {"proxy": m.label, "plain": False, **_agreement(v, truth), **_versus(v, plain[best], truth)}
        record |= _hard_versus(v, plain[hardest], truth)
        own.append(record | _again(works, m) | {"seconds_per_arch": works.main.sheet.seconds(called(m))})
    _correct(own)
    return {
        "name": board.name,
        "typed": board.typed,
        "target": board.target.name,
        "unit": board.target.unit,
        "better": board.target.better,
        "rows": len(board.rows),
        "networks": len(board.archs),
        "whole": board.whole,
        "by_id": board.by_id,
        "best_size": best,
        "best_size_hard": hardest,
        "compared": len(own),
        "repeated": len(works.redrawn.archs),
        "no_number": sorted(m.label for m, v in scores if _distinct(v, truth) < 3),
        "not_asked": sorted({m.label for m in asked} - {m.label for m in metrics}),
        "records": [rounded(r) for r in [*_sorted(rows), *_sorted(own)]],
    }


def _orders(board: Board) -> dict[str, Floats]:
    """The plain sizes and simple orders, an entry a row; more is taken to be better. NaN where unknown."""
    found = {a: plain_orders(board.lab, a)[0] for a in board.archs}
    rows = [found[r.architecture] for r in board.rows if r.architecture]
    names = dict.fromkeys(name for row in rows for name in row)
    return {n: np.array([row.get(n, np.nan) for row in rows]) for n in names}


def _signed(work: Work, metric: Metric, works: Works) -> Floats:
    sign = 1.0 if metric.better == "higher" else -1.0
    return sign * np.array(work.sheet.column(called(metric), works.board.rows))


def _distinct(values: Floats, truth: Truth) -> int:
    return len(set(truth.ids[np.isfinite(values)].tolist()))


def _agreement(values: Floats, truth: Truth) -> Record:
    use = np.isfinite(values)
    v, q, z, c = values[use], truth.quality[use], truth.size[use], truth.ids[use]
    found = statistics.agreement(v, q, size=z, clusters=c, min_gap=truth.gap, draws=DRAWS)
    low, high = statistics.bootstrap(statistics.spearman_rho, v, q, clusters=c, draws=DRAWS)
    failed = int(np.count_nonzero(~use))
    return {**vars(found), "failed": failed, "rho_low": low, "rho_high": high}


def _versus(values: Floats, plain: Floats, truth: Truth) -> Record:
    """Tau-a minus that of the best plain order, paired; tau-b would flatter an order of few values."""
    use = np.isfinite(values)
    found = statistics.paired_test(
        statistics.kendall_tau_a,
        values[use],
        plain[use],
        truth.quality[use],
        clusters=truth.ids[use],
        draws=TESTS,
    )
    return {
        "minus_size": found.difference,
        "minus_size_low": found.low,
        "minus_size_high": found.high,
        "p": found.p,
    }


def _hard(values: Floats, truth: Truth) -> float:
    return statistics.hard_pairs(values, truth.quality, truth.size, min_gap=truth.gap)[0] or 0.0


def _hard_versus(values: Floats, plain: Floats, truth: Truth) -> Record:
    """The share of hard pairs minus that of the plain order that is best at them."""
    use = np.isfinite(values)
    found = statistics.paired_hard_pairs(
        values[use],
        plain[use],
        truth.quality[use],
        truth.size[use],
        min_gap=truth.gap,
        clusters=truth.ids[use],
        draws=DRAWS,
    )
    names = ("hard_minus_size", "hard_minus_size_low", "hard_minus_size_high")
    if found is None:
        return dict.fromkeys(names)
    return dict(zip(names, (found.difference, found.low, found.high), strict=True))


def _correct(records: list[Record]) -> None:
    """Adds the p-values corrected for the number of scores, and whether size is beaten."""
    for record, p in zip(records, statistics.holm([r["p"] for r in records]), strict=True):
        record["p_corrected"] = float(p)
        record["beats_size"] = bool(p <= LEVEL and record["minus_size"] > 0)


def _again(works: Works, metric: Metric) -> Record:
    """Tau-b of the scores of some networks with their scores from other weights, and from another text."""

    def between(other: Work | None) -> float | None:
        if other is None:
            return None
        name, archs = called(metric), works.redrawn.archs
        one, two = ([w.sheet.values.get(a.id, {}).get(name) for a in archs] for w in (works.main, other))
        both = [(x, y) for x, y in zip(one, two, strict=True) if x is not None and y is not None]
        a, b = np.array(both, dtype=float).reshape(-1, 2).T
        if len(both) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
            return None
        return statistics.kendall_tau(a, b)

    return {"over_draws": between(works.redrawn), "over_texts": between(works.reread)}


def _sorted(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda r: (-r["tau"], r["proxy"]))


def rounded(record: Record) -> Record:
    """Every number to so many digits behind the point, seconds included."""
    return {k: round(v, DIGITS) if isinstance(v, float) else v for k, v in record.items()}
