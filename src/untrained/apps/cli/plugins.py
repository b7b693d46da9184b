"""`untrained list` and `untrained show`: what there is, and what it says of itself."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from untrained.apps.cli._options import Help, Json

PLURALS = {
    "space": "spaces",
    "proxy": "proxies",
    "cost": "costs",
    "predictor": "predictors",
    "strategy": "strategies",
    "benchmark": "benchmarks",
    "recipe": "recipes",
    "trained": "trained metrics",
}
WIDTH = 110  # columns of a card; formulas are written that wide


def list_(context: typer.Context, json: Json = False, usage: Help = False) -> None:
    """List the plug-ins by kind, one line each.

    KIND is space, proxy, cost, predictor, strategy, benchmark, recipe or trained; without it, all are
    listed. No plug-in is loaded.
    """
    from untrained.apps.cli._screen import on_terminal, print_heading, print_records, width
    from untrained.core import registry
    from untrained.core.errors import UsageError

    if len(context.args) > 1:
        raise UsageError(
            f"list takes one kind; got {', '.join(context.args)}.\n  all of them: untrained list"
        )
    kind = context.args[0] if context.args else None
    # In the plural too, as the headings have it; another word is told apart by the registry.
    kinds = list(PLURALS) if kind is None else [{v: k for k, v in PLURALS.items()}.get(kind, kind)]
    found = {k: {name: registry.summary(k, name) for name in registry.names(k)} for k in kinds}
    if json:
        print_records({"kind": k, "name": n, "summary": s} for k in found for n, s in found[k].items())
        return
    longest = max((len(name) for names in found.values() for name in names), default=0)
    for k, names in found.items():
        if k != kinds[0]:
            print()
        print_heading(PLURALS[k])
        for name, summary in names.items():
            line = f"  {name:{longest}}  {summary}"
            room = width() if on_terminal() else len(line)
            print(line if len(line) <= room else f"{line[: room - 3].rstrip()}...")
    if kind is None:
        print("\nmore on one of them: untrained show NAME")


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A plug-in of any kind; see: untrained list")],
    json: Json = False,
) -> None:
    """Show the card of a plug-in: formula, cost, source, options."""
    from untrained.apps.cli._screen import print_records
    from untrained.core import registry
    from untrained.core.errors import UnknownName

    kinds = [k for k in registry.ROOMS if name in registry.names(k)]
    if not kinds:
        known = sorted({n for k in registry.ROOMS for n in registry.names(k)})
        raise UnknownName("plug-in", name, known, more="untrained list")
    cards = [card_of(kind, name, registry.get(kind, name)) for kind in kinds]
    if json:
        print_records(cards)
        return
    for i, card in enumerate(cards):
        print(f"{chr(10) if i else ''}{_written(card)}")


def card_of(kind: str, name: str, plugin: Any) -> dict[str, Any]:
    """Everything that a plug-in says of itself, as one JSON record."""
    from untrained.core.metric import keyword_options, read_card

    card = getattr(plugin, "card", None) or read_card(inspect.getdoc(plugin) or "")
    options = plugin.options if hasattr(plugin, "options") else keyword_options(plugin)
    return {
        "kind": kind,
        "name": name,
        "summary": card.pop("Summary", ""),
        **_facts(kind, plugin),
        "options": [_option(p) | _said(kind, plugin, p.name) for p in options.values()],
        "card": card,
    }


def _facts(kind: str, plugin: Any) -> dict[str, Any]:
    """What the declaration says, by kind."""
    if kind in ("proxy", "cost", "trained"):
        return {"better": plugin.better, "unit": plugin.unit, "needs": list(plugin.needs)}
    if kind == "space":
        return {"scales": list(plugin.scales)}
    if kind == "benchmark":
        return {
            "space": plugin.space,
            "targets": [{"name": t.name, "unit": t.unit, "better": t.better} for t in plugin.targets],
            "files": [vars(file) for file in plugin.files],
            "published": list(plugin.published_names),
        }
    return {}


def _option(parameter: inspect.Parameter) -> dict[str, Any]:
    kind = parameter.annotation
    required = parameter.default is inspect.Parameter.empty
    default = None if required else parameter.default
    plain = isinstance(default, int | float | str | bool | None)
    return {
        "name": parameter.name,
        "type": getattr(kind, "__name__", str(kind)),
        "default": default if plain else repr(default),
        "required": required,
    }


def _said(kind: str, plugin: Any, name: str) -> dict[str, str]:
    """The sentence under a setting of a recipe; other plug-ins tell of their options in the card."""
    from untrained.core.recipe import sentences

    return {"says": sentences(plugin)[name]} if kind == "recipe" else {}


def _written(card: Mapping[str, Any]) -> str:
    """A card for people."""
    rows: dict[str, list[str]] = {}
    for key in ("better", "unit", "needs", "space", "scales"):
        value = card.get(key) or []
        rows[key] = [value if isinstance(value, str) else ", ".join(value)] if value else []
    rows["options"] = [line for o in card["options"] for line in _told(o)]
    rows["targets"] = [f"{t['name']} ({t['unit']}, {t['better']} is better)" for t in card.get("targets", ())]
    rows["files"] = [f"{f['name']} ({f['licence']}) {f['url']}" for f in card.get("files", ())]
    rows["published"] = textwrap.wrap(", ".join(card.get("published", ())), WIDTH - 13)
    rows |= {section: text.split("\n") for section, text in card["card"].items()}
    lines = [
        f"  {key if i == 0 else '':10} {text}" for key, texts in rows.items() for i, text in enumerate(texts)
    ]
    summary = textwrap.fill(card["summary"], WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join([f"{card['name']} ({card['kind']})", summary, "", *lines])


def _told(option: Mapping[str, Any]) -> list[str]:
    """An option in one line; with its sentence, where it has one, in as many as that takes."""
    head = f"{option['name']}={option['default']} ({option['type']})"
    if not option.get("says"):
        return [head]
    return textwrap.wrap(f"{head}: {option['says']}", WIDTH - 13, subsequent_indent="  ")
