"""How pages look and how plots answer to a pointer: one style sheet, one script, both of this folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@cache
def css() -> str:
    """Colours of both themes, letters, tables and figures."""
    return (HERE / "look.css").read_text(encoding="utf-8")


@cache
def scoped_css() -> str:
    """The same for a box of class `untrained-view` in somebody else's page, which keeps its own look."""
    colours, _, rest = css().partition("/* The page. */")
    box = (HERE / "box.css").read_text(encoding="utf-8")
    within = rest[rest.index("/* Tables:") :].partition("@media print")[0]
    return colours.replace(":root", ".untrained-view") + box + ".untrained-view {" + within + "}"


@cache
def js() -> str:
    """Theme button and what a plot says under the pointer; without it a page still says everything."""
    return (HERE / "look.js").read_text(encoding="utf-8")
