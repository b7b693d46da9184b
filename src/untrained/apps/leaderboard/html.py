"""The page as one HTML file that needs nothing but itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from untrained.apps.report.document import Section
from untrained.apps.report.figures.marks import html_table, tag
from untrained.apps.report.page import page

STARRED = re.compile(r'(<td class="word">)\*([^*]+)\*(</td>)')


def as_html(title: str, sections: Sequence[Section]) -> str:
    """The sections, after a list of links to them."""
    links = (tag("li", tag("a", escape(s.title), href=f"#s{i}")) for i, s in enumerate(sections))
    body = [tag("h1", escape(title)), tag("nav", tag("ul", *links), aria_label="Sections")]
    return page(title, *body, *(_section(f"s{i}", s) for i, s in enumerate(sections)))


def _section(name: str, section: Section) -> str:
    parts = [tag("h2", escape(section.title)), *(tag("p", escape(text)) for text in section.text)]
    if section.table:
        # What stands between stars is in italics, as in Markdown.
        parts.append(STARRED.sub(r"\1<em>\2</em>\3", html_table(section.table, section.title)))
    parts += [tag("pre", tag("code", escape(code))) for code in section.code]
    return tag("section", *parts, id=name)
