"""Makes the reference of the site from cards, signatures and the command line's own help.

Called by mkdocs as a hook (see mkdocs.yml). A page that is in this folder and in no list below comes under
"Measured", so that nothing is lost.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File
from typer.main import get_command

import untrained
from untrained.apps.cli.app import app
from untrained.apps.cli.plugins import PLURALS, card_of
from untrained.core import registry
from untrained.metrics.features import DESCRIPTIONS, FEATURES

HERE = Path(__file__).parent
GUIDES = {
    "guides/own-model.md": "Score my own model",
    "guides/budget.md": "Search under a budget",
    "guides/watch.md": "Watch a search",
    "guides/proxy.md": "Add a proxy",
    "guides/space.md": "Add a space",
    "guides/prune.md": "Prune an LLM",
    "guides/few-labels.md": "Learn from a few trained networks",
    "guides/cluster.md": "Run on a cluster",
    "guides/read-a-leaderboard.md": "Read a leaderboard",
    "guides/train-and-export.md": "Train and export the winner",
}
FIRST = {"index.md": "Start in five minutes", "trust.md": "Can I trust it?", "peers.md": "Beside its peers"}
MEASURED = {
    "leaderboard.md": "Leaderboard",
    "strategies.md": "Strategies compared",
    "labels.md": "What labels buy",
    "benchmark.md": "A benchmark of our own",
    "verdict.md": "Verdicts on it",
}


def pages() -> dict[str, str]:
    """Path of each generated page -> Markdown."""
    found = {
        "reference/commands.md": commands(),
        "reference/python.md": python(),
        "reference/features.md": features(),
    }
    return found | {f"reference/{PLURALS[kind].replace(' ', '-')}.md": plugins(kind) for kind in PLURALS}


def on_config(config: Any) -> Any:
    """The order of the pages: those that are there."""
    listed = {**FIRST, **GUIDES, **MEASURED}
    others = [p.relative_to(HERE).as_posix() for p in sorted(HERE.rglob("*.md"))]
    measured = [*MEASURED, *(p for p in others if p not in listed)]
    config.nav = [
        *({title: path} for path, title in FIRST.items() if (HERE / path).exists()),
        {"Guides": [{title: path} for path, title in GUIDES.items() if (HERE / path).exists()]},
        {"Reference": [{_title(path): path} for path in pages()]},
        {"Measured": [{listed.get(path, _title(path)): path} for path in measured]},
    ]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the generated pages."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


# --- the pages ----------------------------------------------------------------------------------------


def features() -> str:
    """What each column of `untrained features` says."""
    rows = [f"| `{name}` | {_cell(said)} |" for name, said in DESCRIPTIONS.items()]
    lead = (
        "The columns of `untrained features`, from which predictors learn: statistics of an untrained"
        " network. One that a network cannot have is left empty. They are version"
        f" {FEATURES}; a file of another version is refused."
    )
    return "\n\n".join(["# Features", lead, "\n".join(["| name | |", "|---|---|", *rows])])


def plugins(kind: str) -> str:
    """A table of all plug-ins of a kind, then the card of each."""
    plural = PLURALS[kind]
    names = registry.names(kind)
    rows = [f"| [`{n}`](#{n}) | {_cell(registry.summary(kind, n))} |" for n in names]
    parts = [f"# {plural.capitalize()}", _lead(kind), "\n".join(["| name | |", "|---|---|", *rows])]
    for name in names:
        parts += [f"## `{name}` {{ #{name} }}", _details(card_of(kind, name, registry.get(kind, name)))]
    return "\n\n".join(parts) + "\n"


def commands() -> str:
    """Each command's help, as the command prints it."""
    parts = ["# Commands", "Every command takes `--json`. Exit codes: 0 good, 1 failed work, 2 wrong use."]
    for name, said in _helps():
        parts += [f"## `untrained {name}`", f"```text\n{said}\n```"]
    return "\n\n".join(parts) + "\n"


def python() -> str:
    """Every public name, with its signature and docstring."""
    parts = [
        "# Python",
        "`import untrained as ut` loads no torch; each name is loaded when it is first used.",
    ]
    for name in dir(untrained):
        if not name.startswith("_"):
            parts += [f"## `ut.{name}` {{ #{name} }}", *_documented(name, getattr(untrained, name))]
    return "\n\n".join(parts) + "\n"


# --- the parts ----------------------------------------------------------------------------------------


def _lead(kind: str) -> str:
    return f"Generated from their cards; `untrained list {kind}` and `untrained show NAME` print the same."


def _details(card: dict[str, Any]) -> str:
    """The card of a plug-in, as `untrained show` has it, with its sections as a table."""
    parts = [card["summary"]]
    rows = [(k, card[k]) for k in ("better", "unit", "needs", "space", "scales") if card.get(k)]
    rows += [(k, v) for k, v in card["card"].items()]
    rows += [("options", "; ".join(_option(o) for o in card["options"]))] if card["options"] else []
    targets = (f"{t['name']} ({t['unit']}, {t['better']} is better)" for t in card.get("targets", ()))
    rows += [("targets", "; ".join(targets))] if card.get("targets") else []
    table = [f"| {k} | {_cell(v if isinstance(v, str) else ', '.join(v))} |" for k, v in rows]
    return "\n\n".join([*parts, "\n".join(["| | |", "|---|---|", *table])] if table else parts)


def _option(option: dict[str, Any]) -> str:
    says = f": {option['says']}" if option.get("says") else ""
    return f"{option['name']}={option['default']} ({option['type']}){says}"


def _documented(name: str, thing: Any) -> list[str]:
    try:
        signature = _shortened(inspect.signature(thing))
    except (TypeError, ValueError):
        signature = ""
    kind = "class " if inspect.isclass(thing) else ""
    parts = [f"```text\n{kind}{name}{signature}\n```"]
    doc = inspect.getdoc(thing) or ""
    # A docstring is plain text: what Markdown would take for its own is left alone in a block of its own.
    parts += [_prose(doc)] if doc else []
    if inspect.isclass(thing):
        for method, function in vars(thing).items():
            if (
                not method.startswith("_")
                and (inspect.isfunction(function) or isinstance(function, property))
                and (said := inspect.getdoc(function))
            ):
                parts.append(f"**`{method}`** {_cell(said.split(chr(10) * 2)[0])}")
    return parts


def _shortened(signature: inspect.Signature) -> str:
    """One parameter a line where they do not fit into one."""
    said = re.sub(
        r"\b(?:untrained|collections|pathlib|random|typing)\.(?:\w+\.)*(?=[A-Z])", "", str(signature)
    )
    said = re.sub(r"(: |-> )'([^']*)'", r"\1\2", said)  # annotations that are kept as text
    if len(said) <= 80:
        return said
    inside, _, returns = said[1:].rpartition(")")
    lines = ",\n    ".join(_split(inside))
    return f"(\n    {lines},\n){returns}"


def _split(inside: str) -> Iterator[str]:
    depth, start = 0, 0
    for i, letter in enumerate(inside):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            yield inside[start:i].strip()
            start = i + 1
    yield inside[start:].strip()


def _prose(doc: str) -> str:
    """A docstring with its indented parts as code."""
    parts = []
    for paragraph in doc.split("\n\n"):
        if re.match(r" {2,}|\w+: {2,}", paragraph) or "\n  " in paragraph:
            parts.append(f"```text\n{paragraph}\n```")
        else:
            parts.append(_cell(paragraph))
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    """Plain text that Markdown and HTML leave as it is, in one line; what is in backquotes stays code."""
    flat = " ".join(text.split())
    pieces = re.split(r"(`[^`]+`)", flat)
    return "".join(p.replace("|", "\\|") if i % 2 else _plain(p) for i, p in enumerate(pieces))


def _plain(text: str) -> str:
    escaped = re.sub(r"([\\*_\[\]{}#|~^])", r"\\\1", text)
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def _helps() -> Iterator[tuple[str, str]]:
    root = get_command(app)
    for name, command in root.commands.items():
        if hasattr(command, "commands"):
            for inner, part in command.commands.items():
                yield f"{name} {inner}", _help(part, f"untrained {name} {inner}")
        else:
            yield name, _help(command, f"untrained {name}")


def _help(command: Any, name: str) -> str:
    context = command.make_context(name, [], resilient_parsing=True, max_content_width=80, terminal_width=80)
    return str(command.get_help(context)).strip()


def _title(path: str) -> str:
    """The first heading of a page, or its name."""
    source = HERE / path
    if source.exists() and (found := re.search(r"^# (.+)$", source.read_text("utf-8"), re.M)):
        return found[1]
    return Path(path).stem.replace("-", " ").capitalize()
