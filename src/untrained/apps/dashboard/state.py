"""What changes while one looks: the numbers at the top of a study's page, in words."""

from __future__ import annotations

from collections import Counter
from typing import Any

from untrained.apps.dashboard.live import Live
from untrained.apps.report.table import number


def state(live: Live) -> dict[str, Any]:
    """The numbers of a study as people read them, by the names that the page has for their places."""
    assert live.question is not None
    counted: Counter[str] = Counter()
    for (status, _), n in live.digest.counts.items():
        counted[status] += n
    wanted, rate, left = live.status.wanted, live.rate, live.left
    _, best = live.climb()
    trials = live.trials
    return {
        "running": live.status.running,
        "phase": phase(live),
        "trials": f"{trials:,}",
        "of": f"of {wanted:,}" if wanted else "",
        "share": 100 * min(trials / wanted, 1.0) if wanted else (100.0 if trials else 0.0),
        "good": f"{counted['ok']:,}",
        "rejected": f"{counted['rejected']:,}",
        "failed": f"{counted['failed']:,}",
        "repeats": f"{live.digest.repeats:,}",
        "best": number(float(best[-1])) if len(best) else "-",
        "rate": "-" if rate is None else f"{rate:,.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each",
        "left": "-" if left is None else duration(left),
    }


def phase(live: Live) -> str:
    """What the search is doing, in a few words."""
    status = live.status
    if status.running and status.asked.stop:
        return "stopping: asked to, after the trial it is at"
    if status.running and status.asked.trials:
        return f"running; asked to go on to {status.asked.trials:,}"
    if status.running:
        return "running"
    if status.wanted is not None and live.trials < status.wanted:
        return "stopped before its end; go on with --resume"
    return "ended"


def duration(seconds: float) -> str:
    """A span of time in its two largest parts."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
