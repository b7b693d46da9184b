"""The report as one HTML file: question, winner, front, figures, architectures, and how to ask again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from importlib.metadata import PackageNotFoundError, version

from untrained.apps.report.best import trial_table, value, value_names
from untrained.apps.report.command import command
from untrained.apps.report.counts import number_of_trials
from untrained.apps.report.figures import views
from untrained.apps.report.figures.architecture import drawing
from untrained.apps.report.figures.axes import Axis, wide
from untrained.apps.report.figures.marks import html_table, listed, tag, words
from untrained.apps.report.figures.plot import Point
from untrained.apps.report.findings import Findings, along, own_value, size, unit_of
from untrained.apps.report.page import page
from untrained.apps.report.study import again, asked, happened, title, winner, worth
from untrained.apps.report.table import Column, number, share, table
from untrained.core.effects import Effects
from untrained.core.statistics import spearman_rho
from untrained.core.study import Trial

MARKS = 200  # points of a front that are marked
PACKAGES = ("untrained", "torch", "numpy", "transformers")


def html(found: Findings) -> str:
    """The whole document; it needs nothing but itself."""
    head = tag("h1", escape(title(found.study))) + tag("p", escape(_lead(found)), class_="lead")
    body = [
        head,
        _facts(found),
        _section("The winner", _winner(found)),
        _section("What was found", *figures(found)),
        _section("The choices", _choices(found)),
        _section("The architectures", _architectures(found)),
        _section("What happened", _happened(found)),
        _section("How far to trust the order", *_paragraphs(worth(found.question).text)),
        _section("The question", _asked(found)),
    ]
    foot = escape(f"Made by Untrained. {_versions()}")
    return page(f"{title(found.study)}: report", *body, foot=tag("p", foot))


# --- the parts of the page ----------------------------------------------------------------------------


def _lead(found: Findings) -> str:
    goals = " and ".join(
        f"{'much' if better == 'higher' else 'little'} {name}" for name, better in found.question.objectives
    )
    limits = f", where {found.question.where}" if found.question.where else ""
    name = f" Study {found.name}." if found.name not in ("", "search") else ""
    return f"Asked for {goals}{limits}. Nothing was trained.{name}"


def _facts(found: Findings) -> str:
    """The few numbers that one looks for first."""
    counts = found.counts
    rows = [
        ("trials", f"{counts.trials:,}"),
        ("measured", f"{len(found.points.numbers):,}"),
        ("turned away", f"{counts.rejected:,}"),
        ("failed", f"{counts.failed:,}"),
    ]
    if found.leaders:
        label, better = found.question.objectives[0]
        top = own_value(found.leaders[0].score or 0.0, better)
        rows.append((f"best {label}", number(top)))
    facts = "".join(tag("div", tag("dt", words(k)), tag("dd", escape(v))) for k, v in rows)
    return tag("dl", facts, class_="facts")


def _winner(found: Findings) -> str:
    if not found.leaders:
        return tag("p", "No trial was good: loosen the constraint, or try more of them.")
    best = found.leaders[0]
    said = "".join(_paragraphs(part for s in winner(found.study) for part in s.text))
    code = "".join(tag("pre", tag("code", escape(c))) for s in winner(found.study) for c in s.code)
    more = tag("details", tag("summary", "The winner, to be copied"), said, code)
    return _card(found, best, link=False) + more


def _card(found: Findings, trial: Trial, *, link: bool = True) -> str:
    """One architecture with its values, drawn."""
    arch = trial.architecture
    values = [(n, value(trial, n, found.space)) for n in value_names(found.question)]
    rows = [(n, f"{number(v)}{_unit(n)}") for n, v in values if v is not None]
    if spread := found.spreads.get(arch.id):
        said = f"{number(spread.mean, 4)} ± {number(spread.deviation, 2)}"
        rows.append((f"over {spread.draws} draws", said))
    shown = "".join(tag("div", tag("dt", words(k)), tag("dd", escape(v))) for k, v in rows)
    name = tag("span", arch.id, class_="id") + tag("span", f"trial {trial.number:,}", class_="note")
    inside = tag("h3", name) + tag("dl", shown, class_="values") + drawing(arch, found.space)
    return tag("section", inside, class_="card", id=f"a-{arch.id}" if link else None)


def figures(found: Findings, *, linked: bool = True) -> Iterable[str]:
    """Front, size and progress, as far as there are any; `linked` to the drawings beside them."""
    if not len(found.points.numbers):
        return [tag("p", "There is nothing to draw: no trial was good.")]
    made = [_pareto(found, linked)] if len(found.question.objectives) > 1 else []
    sizes = size_figure(found, lambda t: f"#a-{t.architecture.id}" if linked else "")
    return [*made, sizes, _progress(found)]


def _pareto(found: Findings, linked: bool) -> str:
    """The first objective against the second."""
    (y, above), (x, across) = found.question.objectives[:2]
    points = found.points
    drawn = {t.number: t.architecture.id for t in found.shown}
    on_front = set(points.numbers[points.front].tolist())
    rows = [
        (int(n), own_value(b, across), own_value(a, above))
        for n, (a, b) in zip(points.numbers, points.scores[:, :2].tolist(), strict=True)
    ]
    dots = [Point(u, v, f"trial {n}") for n, u, v in rows]
    some_of = points.numbers[along(points.front, MARKS)].tolist()
    chosen = sorted({*some_of, *(n for n in drawn if n in on_front)})
    places = {n: (u, v) for n, u, v in rows}
    front = [
        Point(
            *places[n],
            drawn.get(n, f"trial {n}"),
            f"#a-{drawn[n]}" if n in drawn and linked else "",
            f"trial {n}",
        )
        for n in chosen
    ]
    names = [Axis(x, unit_of(x), across, wide(p.x for p in dots)), Axis(y, unit_of(y), above)]
    return views.pareto(dots, front, *names, front_of=len(points.front))


def size_figure(found: Findings, link: Callable[[Trial], str]) -> str:
    """The first objective against the number of parameters; `link` says where the marked ones lead."""
    label, better = found.question.objectives[0]
    pairs = found.sizes()
    if label == "params" or len(pairs) < 2:
        return ""
    known = [(n, own_value(t.score or 0.0, better), t) for t, n in pairs]
    rho = spearman_rho([n for n, _, _ in known], [t.score or 0.0 for _, _, t in known])
    dots = [Point(n, v, t.architecture.id, note=f"trial {t.number}") for n, v, t in known]
    shown = [(size(t, found.space), own_value(t.score or 0.0, better), t) for t in found.shown]
    marked = [
        Point(n, v, t.architecture.id, link(t), f"trial {t.number}") for n, v, t in shown if n is not None
    ]
    said = (
        f"Spearman's rho of {label} with the number of parameters, over {len(known):,} architectures:"
        f" {rho:.2f} (1: it only counts them; 0: it has nothing to do with size). "
    )
    whole = len(found.points.numbers)
    if len(known) < whole:
        said += f"These are {len(known):,} of {whole:,}, drawn at random."
    x = Axis("params", "", "", wide(p.x for p in dots))
    return views.against_size(dots, marked, x, Axis(label, unit_of(label), better), said=said)


def _progress(found: Findings) -> str:
    label, better = found.question.objectives[0]
    pairs = zip(found.points.numbers.tolist(), found.points.scores[:, 0].tolist(), strict=True)
    rows = sorted((n, own_value(s, better)) for n, s in pairs)
    return views.progress(rows, Axis(label, unit_of(label), better), better=better)


def _choices(found: Findings) -> str:
    told = found.effects
    if told is None:
        return tag("p", escape(found.why_no_effects))
    label = found.question.objectives[0][0]
    rows = effect_rows(told)
    body = views.importance(rows, said=importance_said(told, label))
    titles, cells = option_rows(told)
    options = html_table(table(titles, cells), "Effect of each option")
    note = tag(
        "p",
        "Places in the order, of a hundred, between none of an option and all of it; with the other choices "
        "held where they are, with its 95 % interval.",
    )
    caveat = tag("p", f"A search looks more often where it was good; this is what it saw of {label}.")
    return body + caveat + tag("details", tag("summary", "The effect of each option"), note, options)


def effect_rows(told: Effects) -> list[dict[str, object]]:
    """One record a choice, as `views.importance` takes them."""
    return [
        {
            "choice": e.title,
            "gain": e.gain,
            "low": e.low,
            "high": e.high,
            "alone": e.alone,
            "verdict": told.verdict(e.choice),
        }
        for e in told.choices
    ]


def importance_said(told: Effects, label: str) -> str:
    """What the bars show, in a sentence."""
    if not told.found:
        return (
            f"Nothing was found: all choices together do not tell the order by {label} of architectures that "
            f"were not seen ({told.n:,} looked at)."
        )
    return (
        f"Share of the order by {label} that each choice tells beyond all others, on architectures that were "
        f"not seen, with its 95 % interval; {told.n:,} architectures. All together tell "
        f"{share(told.explained)} [{share(told.low)} to {share(told.high)}]."
    )


def option_rows(told: Effects) -> tuple[list[object], list[list[str]]]:
    """Titles and rows of the table of options."""
    titles: list[object] = [Column("choice", left=True), Column("option", left=True), "share", "alone"]
    titles += ["others held", "95 %"]
    rows = [
        [
            o.choice,
            o.option,
            share(o.share),
            f"{o.raw:+.0f}",
            f"{o.adjusted:+.0f}",
            f"{o.low:+.0f} to {o.high:+.0f}",
        ]
        for o in told.options
    ]
    return titles, rows


def _architectures(found: Findings) -> str:
    if not found.leaders:
        return tag("p", "None.")
    said = _paragraphs([f"The best {len(found.leaders)} by {found.question.objectives[0][0]}."])
    tables = [html_table(trial_table(found.study, found.leaders), "The best architectures")]
    if found.front:
        whole = len(found.points.front)
        few = len(found.front)
        some = f" {few} of them, evenly along it, are listed and drawn." if whole > few else ""
        said += _paragraphs([f"And {whole:,} that no other beats in every objective.{some}"])
        tables.append(html_table(trial_table(found.study, found.front), "The front"))
    cards = "".join(_card(found, t) for t in found.shown)
    return said[0] + tables[0] + "".join(said[1:] + tables[1:]) + tag("div", cards, class_="cards")


def _happened(found: Findings) -> str:
    counts = found.counts
    body = views.failures(counts.clauses, counts.reasons, counts.trials)
    noted = [f"{n:,} without a value: {why}" for why, n in counts.noted.items()]
    return "".join(_paragraphs(happened(counts).text)) + body + (listed(noted) if noted else "")


def _asked(found: Findings) -> str:
    section = asked(found.study)
    assert section.table is not None, "a question has words"
    repeat = again(found.study)
    line = command(found.question, number_of_trials(found.study))
    code = (
        tag("h3", "To repeat it") + "".join(_paragraphs(repeat.text)) + tag("pre", tag("code", escape(line)))
    )
    return html_table(section.table, "The question") + code


def _versions() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return "Read with " + ", ".join(found) + "."


def _section(name: str, *inside: str) -> str:
    return tag("section", tag("h2", escape(name)), *inside)


def _paragraphs(text: Iterable[str]) -> list[str]:
    return [tag("p", escape(t)) for t in text]


def _unit(label: str) -> str:
    unit = unit_of(label)
    return f" {unit}" if unit else ""
