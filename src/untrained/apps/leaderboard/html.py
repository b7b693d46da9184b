"""The page as one HTML file that needs no other: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from untrained.apps.report.document import Section
from untrained.apps.report.table import Table

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 110rem; padding: 0 1rem; }
p, nav { max-width: 50rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { position: sticky; top: 0; background: Canvas; }
.left { text-align: left; }
td:first-child { position: sticky; left: 0; background: Canvas; }
tr:hover td { background: var(--soft); }
.long { white-space: normal; }
"""


def as_html(title: str, sections: Sequence[Section]) -> str:
    """The sections with a list of links to them; everything that was text is escaped."""
    links = "".join(f'<li><a href="#s{i}">{escape(s.title)}</a></li>' for i, s in enumerate(sections))
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1><nav><ul>{links}</ul></nav>",
    ]
    for i, section in enumerate(sections):
        parts.append(f'<section id="s{i}"><h2>{escape(section.title)}</h2>')
        parts += [f"<p>{escape(text)}</p>" for text in section.text]
        parts += [_table(section.table)] if section.table else []
        parts += [f"<pre>{escape(code)}</pre>" for code in section.code]
        parts.append("</section>")
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _table(table: Table) -> str:
    kinds = [" ".join(("left",) * c.left + ("long",) * c.wraps) for c in table.columns]
    head = "".join(_cell("th", c.title, kind) for c, kind in zip(table.columns, kinds, strict=True))
    lines = [
        "<tr>" + "".join(_cell("td", cell, kind) for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in table.rows
    ]
    body = "\n".join(lines)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _cell(tag: str, text: str, kind: str) -> str:
    """A cell; what stands between stars is in italics, as in Markdown."""
    inside = re.sub(r"^\*([^*]+)\*$", r"<em>\1</em>", escape(text))
    return f'<{tag} class="{kind}">{inside}</{tag}>' if kind else f"<{tag}>{inside}</{tag}>"
