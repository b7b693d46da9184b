"""The main figures for papers, drawn by matplotlib from what the report shows: the only file that needs it.

Each function takes a study (in memory or as its overview's findings) and axes to draw on, and returns the
axes. Colours are those of the page; nothing of matplotlib's own settings is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from untrained.apps.report.figures.axes import Axis, wide
from untrained.apps.report.figures.views import climbed
from untrained.apps.report.findings import Findings, from_store, from_study, own_value, unit_of
from untrained.core.errors import MissingExtra, UsageError
from untrained.core.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCENT, DOT, INK = "#1a5fb4", "#8b96a1", "#1c2126"
SIZE = (5.2, 3.6)  # inches of one figure
DPI = 160

Drawn = Study | Findings | str | Path


def findings(what: Drawn) -> Findings:
    """What is drawn of a study, of a store's path, or of findings that were gathered already."""
    if isinstance(what, Findings):
        return what
    return from_study(what) if isinstance(what, Study) else from_store(what)


def pareto(what: Drawn, *, ax: Axes | None = None) -> Axes:
    """The first objective against the second, with the front; UsageError where there is only one."""
    found, on = findings(what), _axes(ax)
    if len(found.question.objectives) < 2:
        raise UsageError("a front needs two objectives; this study has one.\n  draw: against_size(study)")
    (y, above), (x, across) = found.question.objectives[:2]
    up = [own_value(v, above) for v in found.points.scores[:, 0].tolist()]
    right = [own_value(v, across) for v in found.points.scores[:, 1].tolist()]
    on.plot(right, up, ".", color=DOT, alpha=0.5, ms=3, mew=0, label="measured")
    ends = sorted((right[i], up[i]) for i in found.points.front.tolist())
    style = "steps-post" if across == "lower" else "steps-pre"
    on.plot([a for a, _ in ends], [b for _, b in ends], drawstyle=style, color=ACCENT, lw=1.2)
    on.plot([a for a, _ in ends], [b for _, b in ends], "o", color=ACCENT, ms=4, label="not beaten")
    if wide(right):
        on.set_xscale("log")
    return _titled(on, Axis(x, unit_of(x), across), Axis(y, unit_of(y), above))


def progress(what: Drawn, *, ax: Axes | None = None) -> Axes:
    """The first objective by trial, and the best so far."""
    found, on = findings(what), _axes(ax)
    label, better = found.question.objectives[0]
    pairs = zip(found.points.numbers.tolist(), found.points.scores[:, 0].tolist(), strict=True)
    rows = sorted((n, own_value(v, better)) for n, v in pairs)
    on.plot([n for n, _ in rows], [v for _, v in rows], ".", color=DOT, alpha=0.5, ms=3, mew=0)
    if best := climbed(rows, better):
        best.append((rows[-1][0], best[-1][1]))
        on.step([n for n, _ in best], [v for _, v in best], where="post", color=ACCENT, lw=1.4)
    return _titled(on, Axis("trial"), Axis(label, unit_of(label), better))


def against_size(what: Drawn, *, ax: Axes | None = None) -> Axes:
    """The first objective against the number of parameters."""
    found, on = findings(what), _axes(ax)
    label, better = found.question.objectives[0]
    pairs = [(n, own_value(t.score or 0.0, better)) for t, n in found.sizes()]
    on.plot([n for n, _ in pairs], [v for _, v in pairs], ".", color=DOT, alpha=0.6, ms=4, mew=0)
    if pairs and wide(n for n, _ in pairs):
        on.set_xscale("log")
    return _titled(on, Axis("params"), Axis(label, unit_of(label), better))


def importance(what: Drawn, *, ax: Axes | None = None) -> Axes:
    """How much of the order each choice tells beyond all others, with 95 % intervals."""
    found, on = findings(what), _axes(ax)
    if found.effects is None:
        on.text(0.5, 0.5, found.why_no_effects, ha="center", va="center", wrap=True, transform=on.transAxes)
        on.set_axis_off()
        return on
    told = found.effects.choices[::-1]
    gains = [100 * e.gain for e in told]
    ends = [
        [max(100 * (e.gain - e.low), 0.0) for e in told],
        [max(100 * (e.high - e.gain), 0.0) for e in told],
    ]
    on.barh([e.choice for e in told], gains, color=ACCENT, alpha=0.85, height=0.6)
    on.errorbar(gains, range(len(told)), xerr=ends, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    on.axvline(0, color=INK, lw=0.6)
    on.set_xlabel("% of the order told beyond the other choices", fontsize=8)
    return _plain(on)


def picture(what: Drawn, path: Path) -> None:
    """The main figures on one sheet, as a PNG file."""
    found = findings(what)
    several = len(found.question.objectives) > 1
    drawn: list[Callable[..., Axes]] = [pareto] if several else []
    drawn += [progress, against_size, importance]
    rows = (len(drawn) + 1) // 2
    sheet = _sheet(2 * SIZE[0], rows * SIZE[1])
    for i, draw in enumerate(drawn, 1):
        draw(found, ax=sheet.add_subplot(rows, 2, i))
    sheet.suptitle(f"Search of {found.question.space}", fontsize=11)
    sheet.savefig(path, format="png", dpi=DPI)


def _sheet(width: float, height: float) -> Figure:
    """A figure that no window and no global list of figures knows of."""
    if find_spec("matplotlib") is None:
        raise MissingExtra("a picture", "matplotlib", "plots")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(sheet)
    return sheet


def _axes(ax: Axes | None) -> Axes:
    return _sheet(*SIZE).add_subplot() if ax is None else ax


def _titled(on: Axes, x: Axis, y: Axis) -> Axes:
    on.set_xlabel(x.title, fontsize=8)
    on.set_ylabel(y.title, fontsize=8)
    return _plain(on)


def _plain(on: Axes) -> Axes:
    on.tick_params(labelsize=7)
    for side in ("top", "right"):
        on.spines[side].set_visible(False)
    return on
