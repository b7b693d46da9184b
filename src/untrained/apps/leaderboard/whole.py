"""`untrained correlate all -o PAGE`: measure what is missing, compare, and one value with the result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from untrained import __version__
from untrained.apps.leaderboard import page
from untrained.apps.leaderboard.html import as_html
from untrained.apps.leaderboard.measuring import Works, measured, planned, taken
from untrained.apps.leaderboard.records import board_record
from untrained.apps.leaderboard.tables import ALL, LIMIT, named, opened
from untrained.apps.parallel import Progress
from untrained.apps.probing import resolve
from untrained.apps.report.document import as_markdown
from untrained.core.errors import BadData, UntrainedError, UsageError
from untrained.core.files import write_whole
from untrained.core.frames import frame
from untrained.core.metric import Metric
from untrained.core.shown import html as drawn
from untrained.core.text import load

FORMAT, VERSION = "untrained-leaderboard", 1
ENDINGS = {".md": "Markdown", ".html": "HTML", ".json": "JSON"}


@dataclass(frozen=True)
class Leaderboard:
    """What was found on each benchmark; the pages are made from it alone."""

    about: Mapping[str, Any]
    boards: Sequence[Mapping[str, Any]]
    """one a benchmark: what it is, and `records`, one a score"""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """benchmark -> why it is not there"""

    def _repr_html_(self) -> str | None:
        return drawn(self)

    def table(self) -> Any:
        """One row a score of a board, for pandas where it is installed; see `untrained.core.frames`."""
        return frame(
            [{"benchmark": b["name"], "target": b["target"], **r} for b in self.boards for r in b["records"]]
        )

    def markdown(self) -> str:
        return as_markdown(page.TITLE, page.sections(self.about, self.boards, self.left_out))

    def html(self) -> str:
        """One file that needs no other."""
        return as_html(page.TITLE, page.sections(self.about, self.boards, self.left_out))

    def json(self) -> str:
        """One line a score."""
        head = {"format": FORMAT, "version": VERSION, "about": self.about, "left_out": self.left_out}
        lines = [f' "{k}": {json.dumps(v, allow_nan=False)}' for k, v in head.items()]
        boards = ",\n".join(map(_board_lines, self.boards))
        return "{\n" + ",\n".join([*lines, f' "boards": [\n{boards}\n ]']) + "\n}\n"

    def save(self, path: str | Path) -> None:
        """Writes it; the ending says in which form."""
        form = form_of(str(path))
        write_whole(Path(path), {".md": self.markdown, ".html": self.html, ".json": self.json}[form]())

    @classmethod
    def load(cls, path: str | Path) -> Leaderboard:
        """What `save` wrote as JSON; UsageError for another file or another version."""
        try:
            body = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"the leaderboard {path} cannot be read: {error}") from None
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise UsageError(f"{path} is no leaderboard\n  make one: untrained correlate all -o {path}")
        if body.get("version") != VERSION:
            raise UsageError(f"{path} is of version {body.get('version')!r}; this release reads {VERSION}")
        about, boards, left_out = (body.get(name) for name in ("about", "boards", "left_out"))
        if not (isinstance(about, dict) and isinstance(boards, list) and isinstance(left_out, dict)):
            raise UsageError(
                f"{path} is no whole leaderboard\n  make it again: untrained correlate all -o {path}"
            )
        return cls(about, boards, left_out)


def form_of(path: str) -> str:
    """The ending, or UsageError for one that is not ours."""
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(
            f"-o {path}: a leaderboard is written as {', '.join(ENDINGS)}\n  name a file like leaderboard.md"
        )
    return ending


def leaderboard(
    benchmarks: str | Iterable[str] = ALL,
    proxies: str | Metric | Iterable[str | Metric] = ALL,
    *,
    data: str | Path | None = None,
    scores: str | Path | None = None,
    limit: int | None = LIMIT,
    text: str | Path | None = None,
    other_text: str | Path | None = None,
    scale: str = "probe",
    measure: bool = True,
    workers: int | None = 1,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Leaderboard:
    """Every proxy on every benchmark at hand, against the plain sizes.

    `all` benchmarks are all whose files are there; the others are left out with the reason, and so are those
    with too few networks. Of a table with more than `limit` networks those with the smallest ids are
    compared; of more than 500, by scores alone that take no pass through a network. `scores` is a folder
    where scores are kept: what stands there is not measured again, and a run that is stopped goes on.
    `other_text` is what the scores of some networks are compared on with those of `text`. With
    `measure=False` the page is of what is kept alone. Raises BadData where no benchmark is there, UsageError
    for kept scores of something else.
    """
    names = [benchmarks] if isinstance(benchmarks, str) else list(benchmarks)
    typed = [proxies] if isinstance(proxies, str | Metric) else list(proxies)
    metrics = resolve(typed)
    costs = [m.label for m in metrics if m.kind == "cost"]
    if costs:
        raise UsageError(
            f"a leaderboard compares proxies, and {costs[0]} is a cost\n  sizes are always in it"
        )
    shown, other = load(text), None if other_text is None else load(other_text)
    if other is not None and other.sha256 == shown.sha256:
        raise UsageError("the other text is the same as the text; name another: --other-text FILE")
    folder = None if scores is None else _folder(Path(scores).expanduser(), new=measure)
    if folder is None and not measure:
        raise UsageError("nothing is to be measured and nothing is kept\n  name the folder: --scores DIR")

    def begun(name: str, typed: str) -> Works:
        board = opened(name, typed, data=data, limit=limit, scale=scale, text=shown, device=device)
        if measure or folder is None:
            return planned(board, metrics, folder, other)
        return taken(board, metrics, folder, other)

    works, left_out = _at_hand(named(names), ALL in names, begun)
    if measure:
        measured(works, workers=workers, progress=progress)
    about = {
        "release": __version__,
        "benchmarks": names,
        "proxies": [p.label if isinstance(p, Metric) else p for p in typed],
        "scale": scale,
        "limit": limit,
        "text": Path(shown.source).name,
        "other_text": "" if other is None else Path(other.source).name,
    }
    return Leaderboard(about, [board_record(w, metrics) for w in works], left_out)


def _at_hand(
    names: Mapping[str, str], lenient: bool, begun: Callable[[str, str], Works]
) -> tuple[list[Works], dict[str, str]]:
    """The boards at hand, and why the others are not; whoever names a benchmark is told at once."""
    works, left_out = [], {}
    for name, typed in names.items():
        try:
            works.append(begun(name, typed))
        except BadData as error:
            if not lenient:
                raise
            left_out[name] = _reason(error)
    if not works:
        raise BadData(
            "no benchmark is at hand.\n  "
            + "\n  ".join(f"{name}: {why}" for name, why in left_out.items())
            + "\n  name the folder that has their files: --data DIR\n  or fetch them: untrained data list"
        )
    return works, left_out


def _reason(error: BadData) -> str:
    """What an error says, without names of folders."""
    first, *more = str(error).splitlines()
    looked = next((line.partition("looked for:")[2].strip() for line in more if "looked for:" in line), "")
    said = (first.partition(": ")[2] or first).removesuffix(".")
    return f"{said}: {looked}" if looked else said


def _folder(path: Path, *, new: bool) -> Path:
    """The folder of scores, made where it is `new`."""
    if not new and not path.is_dir():
        raise UsageError(f"--scores {path}: there is no such folder, so nothing is kept there")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(
            f"--scores {path}: this is a file; a leaderboard keeps its scores in a folder"
        ) from None
    except OSError as error:
        raise UntrainedError(f"--scores {path} cannot be made: {error.strerror}") from error
    return path


def _board_lines(board: Mapping[str, Any]) -> str:
    head = [f'   "{k}": {json.dumps(v, allow_nan=False)}' for k, v in board.items() if k != "records"]
    records = ",\n".join(f"    {json.dumps(r, allow_nan=False)}" for r in board["records"])
    return "  {\n" + ",\n".join([*head, f'   "records": [\n{records}\n   ]']) + "\n  }"
