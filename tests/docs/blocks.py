"""The code blocks of the documentation, found and run as a reader would, only smaller.

A comment before a block says where it cannot run here:

    <!-- run: skip, why -->    never
    <!-- run: data -->         only with the tables at hand (slow); DIR is their folder
    <!-- run: slow -->         only among the slow tests
"""

from __future__ import annotations

import re
import shlex
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from untrained.apps.cli.app import app

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"(?:^<!-- run: (?P<mark>[^>]*?) *-->\n+)?^```(?P<language>python|sh)\n(?P<text>.*?)^```$", re.M | re.S
)
SMALLER = (
    (re.compile(r"(--trials[ =]|\btrials=)(\d+)"), 30),
    (re.compile(r"(\blatency\b.* --trials )(\d+)"), 8),  # each is timed
    (re.compile(r"( -n )(\d+)"), 12),
    (re.compile(r"(\brange\()(\d{2,})(?=\))"), 12),
    (re.compile(r"(\bsteps=|--recover )(\d+)"), 4),
    (re.compile(r"(\bpopulation=)(\d+)"), 6),
    (re.compile(r"(--seeds )(\d+)"), 2),
)
FEWER = {
    "correlate": "--limit 40",
    "calibrate": "--labels 10 --draws 2",
    "compare": "--runs 2 --budget 10",
    "discover": "--limit 24",
}
OTHERS = ("make", "pip", "git", "ssh", "export", "mkdocs", "ray")  # programs that a test does not call
SERVING = "untrained dashboard"  # ends by Ctrl-C; tests/browser has it


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def needs(self) -> str:
        """`skip`, `data`, `slow`, or nothing."""
        return self.mark.partition(",")[0].strip()


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """All python and sh blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: m.start("text")].count("\n") + 1, m["language"], m["text"], m["mark"] or "")
        for m in BLOCK.finditer(text)
    ]


def smaller(text: str) -> str:
    """The same with fewer trials, architectures and steps, and shorter examinations."""
    for pattern, most in SMALLER:
        text = pattern.sub(lambda m, most=most: f"{m[1]}{min(int(m[2]), most)}", text)  # type: ignore[misc]
    text = re.sub(r"(?<=causal_lm:steps=)\d+(?=\s)", r"\g<0>,eval_windows=8", text)
    return re.sub(r" --workers \d+", "", text)  # the result is the same for any number


def run(block: Block, names: dict[str, Any], data: Path | None) -> None:
    """Runs a block in the current folder; `names` are what the page's Python has defined so far.

    Without `data`, commands that need the tables are left out.
    """
    if block.language == "python":
        lines = "\n" * block.line + smaller(block.text)
        with redirect_stdout(StringIO()):
            exec(compile(lines, str(block.page), "exec"), names)
        return
    for command in commands(smaller(block.text)):
        if command.split()[0] in OTHERS or command.startswith(SERVING):
            continue
        if re.search(r"\bDIR\b", command):
            if data is None:
                continue
            command = fewer(re.sub(r"\bDIR\b", str(data), command))
        shell(command, block.where)


def fewer(command: str) -> str:
    """The same on a part of a table, where the command says nothing of it."""
    options = FEWER.get(command.split()[1], "")
    return command if not options or options.split()[0] in command else f"{command} {options}"


def commands(text: str) -> list[str]:
    """The command lines of a block, without comments and with their continuations."""
    joined = text.replace("\\\n", " ")
    lines = (re.sub(r"(^|\s+)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def shell(command: str, where: str) -> None:
    """One line: commands of ours, joined by | and perhaps written to a file."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|<>;&")
    lexer.whitespace_split, lexer.commenters = True, ""
    words = list(lexer)
    target = None
    if ">" in words:
        target = Path(words[words.index(">") + 1])
        words = words[: words.index(">")]
    parts: list[list[str]] = [[]]
    for word in words:
        parts.append([]) if word == "|" else parts[-1].append(word)
    said: str | None = None
    for part in parts:
        assert part, f"{where}: {command}: an empty command"
        hint = f"{where}: {command}\nA block that cannot run here needs <!-- run: skip, why --> before it."
        assert part[0] == "untrained", hint
        result = CliRunner().invoke(app, part[1:], input=said)
        assert result.exit_code == 0, f"{hint}\n{result.output}\n{result.exception!r}"
        said = result.stdout
    if target is not None:
        assert said is not None
        target.write_text(said, encoding="utf-8")
