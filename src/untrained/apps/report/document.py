"""A page of sections, as text for a terminal or as a Markdown file."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from untrained.apps.report.table import Table, markdown, plain


@dataclass(frozen=True)
class Section:
    """A heading with sentences, a table and lines to be copied, each if there is any."""

    title: str
    text: tuple[str, ...] = ()
    """paragraphs"""
    table: Table | None = None
    code: tuple[str, ...] = ()
    """commands or JSON, one block each; never wrapped"""


def as_text(title: str, sections: Sequence[Section], width: int = 80) -> str:
    """Headings underlined, paragraphs wrapped, everything that can be copied kept in one piece."""
    parts = [f"{title}\n{'=' * len(title)}"]
    for section in sections:
        body = [textwrap.fill(t, width, break_long_words=False) for t in section.text]
        body += [plain(section.table, width)] if section.table else []
        body += section.code
        parts.append("\n".join([section.title, "-" * len(section.title), "\n\n".join(body)]))
    return "\n\n".join(parts) + "\n"


def as_markdown(title: str, sections: Sequence[Section]) -> str:
    """The same as Markdown; it needs nothing but the one file."""
    parts = [f"# {title}"]
    for section in sections:
        parts.append(f"## {section.title}")
        parts += section.text
        parts += [markdown(section.table)] if section.table else []
        parts += [_fenced(code) for code in section.code]
    return "\n\n".join(parts) + "\n"


def _fenced(code: str) -> str:
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{code}\n{fence}"
