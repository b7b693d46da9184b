"""One HTML file that needs nothing but itself: style, script and pictures are in it."""

from __future__ import annotations

from html import escape

from untrained.apps.report.figures.look import css, js
from untrained.apps.report.figures.marks import tag

# Nothing may be fetched, whatever a name in a store says; style and script are those of this file.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "script-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
)


def page(title: str, *body: str, foot: str = "") -> str:
    """The whole document; `body` and `foot` are HTML, `title` is text."""
    button = tag("button", "Light / dark", type="button", data_theme_button="")
    head = tag("div", tag("p", "Untrained", class_="brand"), button, class_="page-head")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{css()}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#content">To the content</a>\n<header>{head}</header>\n'
        f'<main id="content">{"".join(body)}</main>\n'
        f'<footer class="page-foot">{foot}</footer>\n<script>{js()}</script>\n</body>\n</html>\n'
    )
