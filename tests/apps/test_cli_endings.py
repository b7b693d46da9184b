"""How commands end: exit codes, Ctrl-C, closed pipes, errors that nobody foresaw."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from untrained.core import registry
from untrained.core.errors import UntrainedError, UsageError

# A shell that starts this in the background has told us to ignore Ctrl-C; the user's shell has not.
CALL = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    " from untrained.apps.cli import main; main()"
)


def start(*words: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CALL, *words],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
    )


def failing(error):
    def names(kind):
        raise error

    return names


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UntrainedError("the work failed.\n  try: this"), 1, "the work failed.\n  try: this\n"),
        (UsageError("asked wrongly"), 2, "asked wrongly\n"),
        (KeyError("a\nb"), 1, "this was not foreseen: KeyError: 'a\\nb' (UNTRAINED_DEBUG=1 shows where)\n"),
        (MemoryError(), 1, "this was not foreseen: MemoryError (UNTRAINED_DEBUG=1 shows where)\n"),
        (KeyboardInterrupt(), 130, "\nstopped\n"),
        (BrokenPipeError(), 0, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_exit_codes(run, monkeypatch, error, code, said):
    monkeypatch.setattr(registry, "names", failing(error))
    result = run("list", code=code)
    assert (result.stdout, result.stderr) == ("", said)


def test_debug_shows_the_traceback(monkeypatch):
    from typer.testing import CliRunner

    from untrained.apps.cli.app import app

    monkeypatch.setattr(registry, "names", failing(ZeroDivisionError("here")))
    result = CliRunner().invoke(app, ["list"], env={"UNTRAINED_DEBUG": "1"})
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "ZeroDivisionError: here" in result.stderr


def test_ctrl_c_is_heard():
    process = start("sample", "rnn_cell", "-n", "1000000000")
    process.stdout.readline()  # it is at work
    process.send_signal(signal.SIGINT)
    process.stdout.close()  # or it would wait for a reader of what it has printed already
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) in (130, 0)  # 0 where the closed pipe was noticed first
    assert error in ("\nstopped\n", "")


def test_ctrl_c_before_anything_was_loaded(monkeypatch, capsys):
    import untrained.apps.cli as cli
    from untrained.apps.cli import _guard

    def interrupted(stream):
        raise KeyboardInterrupt

    monkeypatch.setattr(_guard, "forgiving", interrupted)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "\nstopped\n"


def test_a_reader_that_leaves_is_no_error():
    process = start("sample", "rnn_cell", "-n", "100000")
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(30), error) == (0, "")


def test_a_reader_that_leaves_before_a_short_output():
    reader, writer = os.pipe()
    os.close(reader)
    process = start("list", stdout=writer)
    os.close(writer)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told():
    with open("/dev/full", "w") as full:
        process = start("list", stdout=full)
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (1, "the output cannot be written: No space left on device\n")


def test_closed_streams():
    def closed(command: str) -> subprocess.CompletedProcess:
        words = f'exec "{sys.executable}" -m untrained {command}'
        return subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=30)

    assert closed("list >&-").returncode == 0
    nowhere = closed("list nonsense 2>&-")
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    stdin = closed("score --arch - <&-")
    assert stdin.returncode == 2
    assert "stdin is closed" in stdin.stderr


def test_names_that_the_terminal_cannot_spell():
    process = start("list", "sp\udce4ce", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    _, error = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "no kind of plug-in" in error
