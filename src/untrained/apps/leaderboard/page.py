"""The page of a leaderboard: what it says in words, and a table for all boards and for each."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from untrained.apps.report.document import Section
from untrained.apps.report.table import Column, Table, share, table

Record = Mapping[str, Any]

TITLE = "Leaderboard"
TAU = (
    "tau: Kendall's tau-b with the truth, in the direction that the score's card declares, so that a negative"
)
LEGEND = (
    f"{TAU} one points the wrong way; with its 95 % interval over distinct networks (1,000 resamples)."
    " rho: Spearman's, with the same. tau-a gives no credit for ties, which a score of few values has many"
    " of.",
    "half: tau-b in the better half. top 10 %: share of the true best tenth that is in the best tenth by"
    " score. hard pairs: networks of one size (non-embedding parameters within 5 %) whose truths really"
    " differ, and how many of those pairs are put in the right order. partial: Spearman's rho with that size"
    " held fixed.",
    "minus size: tau-a minus that of the best plain order of the table, with its 95 % interval; both see the"
    " same 10,000 resamples. p: two-sided, from these resamples, corrected by Holm's method for the number of"
    " scores compared on the table. beats: yes where p is at most 0.05 and the score is the better one, so"
    " that of twenty tables without any better score at most one or so would have a yes. The best plain order"
    " is chosen on the same networks, which is in its favour. hard minus size: points of a hundred hard pairs"
    " more than the plain order that is best at them, with the 95 % interval of this one comparison.",
    "draws: tau-b of the scores of some networks, chosen by their ids, with their scores from other weights"
    " and another window of the text. texts: the same between two texts, with the same weights. 1.00 is a"
    " score that does not hang on them; empty where it is the same for all of these networks.",
    "s/network: seconds on one core of a machine that may have been busy with other work, when all are asked"
    " together. What several scores share, a pass or the network itself, is counted for the first of them.",
    "Some of these networks shaped our own scores; their cards say which. A table may be a part of what its"
    " authors published; whoever has the rest can run the same command.",
)


def sections(about: Record, boards: Sequence[Record], left_out: Mapping[str, str]) -> list[Section]:
    """The whole page."""
    return [
        Section("How to read it", (_made(about), *LEGEND), code=(_command(about),)),
        *([_overview(boards)] if len(boards) > 1 else []),
        *map(_board, boards),
        *([_missing(left_out)] if left_out else []),
    ]


def _made(about: Record) -> str:
    texts = f"text: {about['text'] or 'English that Python ships'}"
    texts += f"; other text: {about['other_text']}" if about["other_text"] else ""
    return (
        "Every proxy that has a number on a benchmark's networks, against the plain sizes and simple orders,"
        ' which stand first, in italics, each taken as "more is better".'
        f" One draw of weights, {about['scale']} scale, {texts}. untrained {about['release']}."
    )


def _command(about: Record) -> str:
    """What to type for the page; DIR stands for the folder that has the tables."""
    words = ["untrained", "correlate", ",".join(about["benchmarks"]), "--proxy", ",".join(about["proxies"])]
    words += ["--data", "DIR", "--scale", about["scale"]]
    for option in ("limit", "text", "other_text"):
        if about[option]:
            words += [f"--{option.replace('_', '-')}", str(about[option])]
    return shlex.join([*words, "-o", "leaderboard.md"])


def _overview(boards: Sequence[Record]) -> Section:
    """Tau-a of each score on each board, a star where size is beaten; most stars first."""
    by_name: dict[str, dict[str, Record]] = {}
    for board in boards:
        for record in board["records"]:
            by_name.setdefault(record["proxy"], {})[board["name"]] = record
    plain = {n: any(r["plain"] for r in found.values()) for n, found in by_name.items()}
    stars = {n: sum(bool(r.get("beats_size")) for r in f.values()) for n, f in by_name.items()}

    def mean(name: str) -> float:
        return fmean(r["tau_a"] for r in by_name[name].values())

    order = sorted(by_name, key=lambda n: (not plain[n], -stars[n], -mean(n), n))
    rows = [
        [_name(n, plain[n]), *(_starred(by_name[n].get(b["name"])) for b in boards), str(stars[n] or "")]
        for n in order
    ]
    titles = [Column("score", left=True), *(b["name"] for b in boards), "beats size"]
    text = (
        "Tau-a of each score on each table, * where it beats the best plain order there; empty where it has"
    )
    text += " no number or was not measured."
    if max(stars.values()) < len(boards):
        text += " None beats size on all of them."
    return Section("All tables", (text,), table(titles, rows))


def _starred(record: Record | None) -> str:
    if record is None:
        return ""
    return _two(record["tau_a"]) + (" *" if record.get("beats_size") else "")


def _board(board: Record) -> Section:
    chosen = board["networks"] < board["whole"]
    text = [
        f"{board['unit']}, {board['better']} is better. {board['rows']:,} rows, {board['networks']:,}"
        f" different networks{_of(board) if chosen else ''}. The best plain order by tau-a is"
        f" {board['best_size']}, by hard pairs {board['best_size_hard']}; {board['compared']} scores are"
        " compared with them."
        f" {board['repeated'] or 'No'} networks were scored again."
    ]
    if board["not_asked"]:
        text.append(f"Not measured here: {', '.join(board['not_asked'])}.")
    if board["no_number"]:
        text.append(f"No number here (the card says why): {', '.join(board['no_number'])}.")
    return Section(f"{board['typed']}: {board['target']}", tuple(text), _table(board["records"]))


def _of(board: Record) -> str:
    return f" of {board['whole']:,}{', those with the smallest ids' if board['by_id'] else ''}"


def _table(records: Sequence[Record]) -> Table:
    titles = [Column("score", left=True), "n", "tau", "rho", "tau-a", "half", "top 10 %", "hard pairs"]
    titles += ["partial", "minus size", "p", "beats", "hard minus size", "draws", "texts", "s/network"]
    return table(titles, [_row(r) for r in records])


def _row(r: Record) -> list[str]:
    hard = f"{share(r['hard_pairs'])} of {r['hard_pairs_n']:,}" if r["hard_pairs_n"] else ""
    row = [
        _name(r["proxy"], r["plain"]),
        f"{r['n']:,}",
        _with(r["tau"], r["tau_low"], r["tau_high"]),
        _with(r["rho"], r["rho_low"], r["rho_high"]),
        _two(r["tau_a"]),
        _two(r["tau_better_half"]),
        share(r["top10_overlap"]),
        hard,
        _two(r["partial_rho"]),
    ]
    if r["plain"]:
        return [*row, "", "", "", "", "", "", ""]
    return [
        *row,
        _with(r["minus_size"], r["minus_size_low"], r["minus_size_high"], sign="+"),
        f"{r['p_corrected']:.3f}",
        "yes" if r["beats_size"] else "no",
        _points(r["hard_minus_size"], r["hard_minus_size_low"], r["hard_minus_size_high"]),
        _two(r["over_draws"]),
        _two(r["over_texts"]),
        "" if r["seconds_per_arch"] is None else f"{r['seconds_per_arch']:.3f}",
    ]


def _missing(left_out: Mapping[str, str]) -> Section:
    titles = [Column("benchmark", left=True), Column("why", left=True, wraps=True)]
    return Section("Left out", (), table(titles, [[n, why] for n, why in left_out.items()]))


def _name(name: str, plain: bool) -> str:
    return f"*{name}*" if plain else name


def _two(value: float | None, sign: str = "") -> str:
    """Two digits, without a minus before a zero."""
    return "" if value is None else f"{round(value, 2) + 0.0:{sign}.2f}"


def _points(value: float | None, low: float, high: float) -> str:
    """Shares as points of a hundred."""
    return "" if value is None else " ".join([_whole(value), f"[{_whole(low)}, {_whole(high)}]"])


def _whole(share: float) -> str:
    return f"{round(100 * share) + 0:+d}"


def _with(value: float, low: float, high: float, sign: str = "") -> str:
    return f"{_two(value, sign)} [{_two(low, sign)}, {_two(high, sign)}]"
