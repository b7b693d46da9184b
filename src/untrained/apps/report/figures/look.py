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
def js() -> str:
    """Theme button and what a plot says under the pointer; without it a page still says everything."""
    return (HERE / "look.js").read_text(encoding="utf-8")
