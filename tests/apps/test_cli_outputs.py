"""Files that commands write, the progress bar, and what a terminal is shown."""

import os
import sys
import threading
import time

import pytest

from untrained.apps.cli import _outputs, _progress, _screen
from untrained.apps.cli._outputs import replaced, target
from untrained.apps.report.table import Column, table
from untrained.core.errors import UntrainedError, UsageError


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "out.md"
    path.write_text("old")
    path.chmod(0o640)
    with replaced(target("-o", str(path))) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def write_half(path, error):
    with replaced(path) as part:
        part.write_text("new")
        raise error


def test_what_goes_wrong_in_between_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.md"
    path.write_text("old")
    for error, raised in ((RuntimeError("x"), RuntimeError), (OSError(28, "no space"), UntrainedError)):
        with pytest.raises(raised):
            write_half(path, error)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real.md", tmp_path / "link.md"
    link.symlink_to(real)
    with replaced(target("-o", str(link))) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    with replaced(target("-o", str(pipe))) as part:
        part.write_text("new")
    reader.join(10)
    assert read == ["new"]
    assert pipe.is_fifo()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_where_nothing_may_be_written(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(UsageError, match="nothing may be written"):
            target("-o", str(tmp_path / "out.md"))
    finally:
        tmp_path.chmod(0o755)


def test_paths_that_cannot_be_written(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="this is a folder"):
        target("-o", str(tmp_path))
    with pytest.raises(UsageError, match="mkdir -p"):
        target("-o", str(tmp_path / "nowhere" / "out.md"))
    monkeypatch.setattr(_outputs.os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match="nothing may be written"):
        target("-o", str(tmp_path / "out.md"))


class Terminal:
    """A stream that says it is a terminal and remembers what was written."""

    def __init__(self) -> None:
        self.text = ""
        self.encoding = "utf-8"

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError


def on_terminal(monkeypatch) -> Terminal:
    """stdout and stderr on a terminal of 80 columns, without colours; pytest undoes it in a fixture."""
    for name, value in {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    made = Terminal()
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setattr(sys, "stderr", made)
    return made


def test_a_bar_appears_for_long_work_only(monkeypatch):
    terminal = on_terminal(monkeypatch)
    with _progress.progress("counting") as tick:
        tick(1, 3)
    assert terminal.text == ""
    monkeypatch.setattr(_progress, "AFTER", 0.01)
    with _progress.progress("counting") as tick:
        deadline = time.monotonic() + 10
        while "2 of 3" not in terminal.text and time.monotonic() < deadline:
            tick(2, 3)
            time.sleep(0.02)
    assert "counting" in terminal.text
    assert "2 of 3" in terminal.text
    assert "\x1b[3" not in terminal.text  # NO_COLOR


def test_no_bar_in_a_pipe_or_when_quiet(monkeypatch):
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(_progress, "AFTER", 0.0)
    with _progress.progress("counting", quiet=True) as tick:
        tick(1, 2)
        time.sleep(0.05)
    assert terminal.text == ""
    monkeypatch.setattr(sys, "stderr", None)
    with _progress.progress("counting") as tick:
        tick(1, 2)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ((0, None, None, ""), "0"),
        ((3, 1200, None, ""), "3 of 1,200"),
        ((3, 12, 2.5, ""), "3 of 12, 2.5/s"),
        ((3, 12, 0.25, ""), "3 of 12, 4.0 s each"),
        ((1_500_000, 3_000_000, 250_000.0, "bytes"), "1.5 of 3.0 MB, 0.2 MB/s"),
        ((1_500_000, None, None, "bytes"), "1.5 MB"),
    ],
)
def test_how_far_the_work_is(state, said):
    assert _progress.told(*state) == said


def test_a_narrow_terminal_is_told_what_is_left_out(monkeypatch):
    terminal = on_terminal(monkeypatch)
    wide = table([Column("name", left=True), Column("x" * 70, spare=1)], [["a" * 20, "1"]])
    assert _screen.print_table(wide) == ["x" * 70]
    assert "a" * 20 in terminal.text
    assert "too narrow for: " + "x" * 70 in " ".join(terminal.text.split())
    assert "\x1b[3" not in terminal.text


def test_many_notes_are_cut(capsys):
    _screen.print_notes([f"note {i}" for i in range(20)], most=3)
    assert capsys.readouterr().out.splitlines() == [
        "- note 0",
        "- note 1",
        "- note 2",
        "- and 17 more like these",
    ]
    _screen.print_notes([f"note {i}" for i in range(4)], most=3)
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_records_are_one_list(capsys):
    import json

    for records in ([], [{"a": 1}], [{"a": 1}, {"b": "\u00e4"}]):
        _screen.print_records(records)
        out = capsys.readouterr().out
        assert json.loads(out) == records
        assert out.isascii()
