"""The smallest pieces: escaped words, elements, a figure around its parts, a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from untrained.apps.report.table import Table


def tag(name: str, *inside: str, **attributes: object) -> str:
    """An element. `inside` is HTML already, attributes are escaped; None leaves one out.

    `class_` is `class`, and `aria_label` is `aria-label`.
    """
    said = "".join(
        f' {k.rstrip("_").replace("_", "-")}="{escape(str(v))}"'
        for k, v in attributes.items()
        if v is not None
    )
    return f"<{name}{said}>{''.join(inside)}</{name}>"


def words(text: object) -> str:
    """Text as HTML shows it; line breaks may come after a slash, a dot or an underscore in a long name."""
    said = escape(str(text))
    return said.replace("_", "_<wbr>") if len(said) > 12 else said


def inert(data: str) -> str:
    """JSON that may stand within a script element: nothing in it can end or open one."""
    return data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def figure(title: str, body: str, *, said: str = "", table: Table | None = None, legend: str = "") -> str:
    """A figure with its title, a sentence about it, and its numbers as a table that can be unfolded."""
    caption = tag("h3", escape(title)) + (tag("p", escape(said)) if said else "")
    numbers = ""
    if table is not None:
        summary = tag("summary", f"The numbers of “{escape(title)}”")
        numbers = tag("details", summary, html_table(table, title), class_="numbers")
    return tag("figure", tag("figcaption", caption), body, legend, numbers, class_="figure")


def html_table(table: Table, name: str, *, head: bool = True) -> str:
    """A table that scrolls in itself where it is too wide; `name` says what it is about."""
    titles = "".join(
        tag("th", words(c.title), scope="col", class_="word" if c.left else "num") for c in table.columns
    )
    top = tag("thead", tag("tr", titles)) if head and any(c.title for c in table.columns) else ""
    rows = "".join(
        tag(
            "tr",
            *(
                tag("td", words(cell), class_="word" if c.left else "num")
                for c, cell in zip(table.columns, row, strict=True)
            ),
        )
        for row in table.rows
    )
    inner = tag("table", tag("caption", escape(name), class_="unseen"), top, tag("tbody", rows))
    return tag("div", inner, class_="scroll", tabindex=0, role="region", aria_label=f"Table: {name}")


def listed(items: Sequence[str]) -> str:
    """An unordered list of sentences."""
    return tag("ul", *(tag("li", escape(i)) for i in items))


def two_lines(first: str, second: str) -> str:
    """What the full line of a plot is about, and what the dashed one."""
    keys = [
        tag("span", tag("i", class_=kind), escape(name)) for kind, name in (("", first), ("second", second))
    ]
    return tag("p", *keys, class_="keys")
