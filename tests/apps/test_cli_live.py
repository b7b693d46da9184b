"""What a search shows while it runs: numbers worked by hand, a table on a terminal, lines in a pipe."""

import io
import os
import re
import sys

import pytest

from untrained.apps.cli import _live
from untrained.apps.cli._live import State, view
from untrained.core.architecture import Architecture
from untrained.core.study import Trial

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|38|4[0-7]|48|9[0-7])(?:;\d+)*m")


def trial(n: int, score: float | None, status: str = "ok", reason: str | None = None, **more) -> Trial:
    values = {} if score is None else {"loss": -score, "params": 8e6}
    scores = () if score is None else (score,)
    return Trial(n, Architecture.of("toy", n=n), status, values, score, scores, reason, **more)


def state() -> State:
    """Ten trials in nine seconds, of a thousand."""
    found = State("searching toy", "loss", -1)
    shown = [trial(i, -float(i % 5) - 1) for i in range(6)]
    shown += [
        trial(6, None, "rejected", "params < 3; flops < 2"),
        trial(7, None, "rejected", "params < 3"),
        trial(8, None, "failed", "loss: not finite"),
        trial(9, -1.0, same_as=0),
    ]
    for i, one in enumerate(shown):
        found.see(i + 1, 1_000, one, now=float(i))
    return found


def test_what_is_counted():
    found = state()
    assert (found.good, found.turned_away, found.failed, found.repeats) == (6, 2, 1, 1)
    assert found.rate == pytest.approx(1)
    assert found.left == "16:30 left"
    assert [t.number for t in found.top] == [0, 5, 1, 2, 3]
    assert found.line() == (
        "searching toy: 10 of 1,000, 1.0/s, 16:30 left; best loss 1, trial 0; 6 good, 2 turned away,"
        " 1 failed, 1 seen before: params < 3 (2); flops < 2 (1); loss: not finite (1)"
    )


def test_no_rate_before_it_is_sure():
    found = State("searching toy")
    for i in range(50):
        found.see(i + 1, 100, trial(i, 0.0), now=0.001 * i)
    assert found.rate is None
    assert found.left == ""
    assert found.line().startswith("searching toy: 50 of 100; best")


def test_the_rate_is_that_of_lately():
    found = State("searching toy")
    for i in range(200):
        found.see(i + 1, 10_000, trial(i, 0.0), now=float(i) if i < 100 else 100 + (i - 100) * 10.0)
    assert found.rate == pytest.approx(0.1)
    assert found.left == "27:13:20 left"


def test_an_architecture_is_shown_once_and_cheap_looks_are_not():
    found = State("searching toy")
    same = trial(0, 1.0)
    for i, one in enumerate([same, same, trial(1, 9.0, fidelity=0)]):
        found.see(i + 1, 10, one, now=0.0)
    assert [t.number for t in found.top] == [0]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits_the_terminal(width):
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True).print(view(state()))
    lines = CODES.sub("", out.getvalue()).splitlines()
    assert all(len(line) <= width for line in lines)
    said = "\n".join(lines)
    assert "searching toy" in said
    assert "16:30 left" in said
    assert "loss" in said
    assert "6 good, 2 turned away, 1 failed" in said
    Console(file=out, width=width).print(view(State("nothing yet")))


def test_lines_in_a_pipe(run, monkeypatch):
    monkeypatch.setattr(_live, "EVERY", 0.0)
    said = run("search", "rnn_cell", "--trials", 4, "--where", "params <= 9e6").stderr
    lines = [line for line in said.splitlines() if line.startswith("searching rnn_cell: ")]
    assert len(lines) == 4
    assert "4 of 4" in lines[-1]
    assert "\x1b" not in said


def test_a_short_search_says_nothing_in_a_pipe(run):
    assert run("search", "rnn_cell", "--trials", 2).stderr == ""


def on_terminal(words: list[str], **environment: str) -> str:
    """What a command prints on a terminal of its own."""
    pty = pytest.importorskip("pty")
    child, screen = pty.fork()
    if child == 0:  # pragma: no cover
        os.environ.update(environment)
        os.execv(sys.executable, [sys.executable, *words])
    said = b""
    while True:
        try:
            piece = os.read(screen, 65_536)
        except OSError:  # the child has ended
            break
        if not piece:
            break
        said += piece
    os.close(screen)
    assert os.waitpid(child, 0)[1] == 0, said.decode()[-300:]
    return said.decode()


SLOW = (  # a trial takes 0.2 s, so that the table is there whatever the machine
    "import sys, time; from untrained.studies.evaluator import Evaluator; old = Evaluator.__call__\n"
    "def slow(self, *asked):\n    time.sleep(0.2)\n    return old(self, *asked)\n"
    "Evaluator.__call__ = slow\n"
    "from untrained.apps.cli import main; sys.argv = ['untrained', 'search', 'rnn_cell', '--trials', '20'];"
    "main()"
)


@pytest.mark.parametrize("plain", [True, False], ids=["no-colour", "colour"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_the_table_on_a_terminal(plain):
    said = on_terminal(
        ["-c", SLOW], COLUMNS="100", TERM="xterm-256color", **({"NO_COLOR": "1"} if plain else {})
    )
    text = CODES.sub("", said)
    assert "searching rnn_cell" in text
    assert re.search(r"of 20, [\d.]+(/s| s each) +\d+:\d\d left", text)
    assert "turned away" in text
    assert bool(COLOUR.search(said)) is not plain
    assert "20 new trials in" in text
