"""The pages, from templates in this folder; jinja2 escapes all that is not a figure of ours."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from untrained import __version__
from untrained.apps.report.figures.look import css, js

HERE = files("untrained.apps.dashboard")
PAGES = ("base", "studies", "study", "trial", "compare", "problem")
KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


class Pages:
    """Templates and style sheets, read once; nothing is read from the disk while serving."""

    def __init__(self) -> None:
        texts = {f"{p}.html": HERE.joinpath("templates", f"{p}.html").read_text("utf-8") for p in PAGES}
        self._made = Environment(
            loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._made.globals["version"] = __version__
        self.assets = {
            "look.css": css(),
            "look.js": js(),
            "page.css": HERE.joinpath("static", "page.css").read_text("utf-8"),
            "page.js": HERE.joinpath("static", "page.js").read_text("utf-8"),
        }

    def page(self, template: str, /, **shown: Any) -> str:
        return self._made.get_template(f"{template}.html").render(**shown)


def ready(figure: str) -> Markup:
    """HTML that escaped what it was given, as all our figures do."""
    return Markup(figure)
