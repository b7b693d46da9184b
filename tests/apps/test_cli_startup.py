"""What has to be there at once: help, version and the list, without anything heavy."""

import os
import subprocess
import sys

import pytest

HEAVY = ["torch", "numpy", "scipy", "sqlalchemy", "rich", "pydantic", "starlette", "uvicorn", "jinja2"]
QUICK = [["--help"], ["list"], ["list", "proxy", "--json"], ["--version"], ["search", "--help"]]

PROBE = """
import sys
from untrained.apps.cli import main
sys.argv = ["untrained", *{words!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("LOADED", *(m for m in {heavy!r} if m in sys.modules), file=sys.stderr)
"""


def python(*words: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("COV", "PYTEST"))}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=env, timeout=60)


@pytest.mark.parametrize("words", QUICK, ids=" ".join)
def test_help_and_list_load_nothing_heavy(words):
    done = python("-c", PROBE.format(words=words, heavy=HEAVY))
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].split() == ["LOADED"]


def test_sample_loads_no_torch():
    done = python("-c", PROBE.format(words=["sample", "rnn_cell"], heavy=["torch"]))
    assert done.stderr.splitlines()[-1].split() == ["LOADED"]


@pytest.mark.parametrize("words", [["--help"], ["list"]], ids=" ".join)
def test_help_and_list_take_less_than_300_ms(words):
    def seconds() -> float:
        before = os.times()
        assert python("-m", "untrained", *words).returncode == 0
        after = os.times()  # processor time, as wall time tells more of what else the machine does
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert any(seconds() < 0.3 for _ in range(5))


def test_help_shows_every_command(run):
    said = run("--help").stdout
    for name in ["list", "show", "sample", "score", "rank", "search", "correlate", "report", "data"]:
        assert f"\n  {name} " in said
    assert run().stdout == said


@pytest.mark.parametrize("words", ["score", "rank", "search", "correlate", "report", "data get", "list"])
def test_every_command_has_help_and_json(run, words):
    said = run(*words.split(), "-h").stdout
    assert "--json" in said
    assert max(map(len, said.splitlines())) <= 80


def test_version(run):
    from untrained import __version__

    assert run("--version").stdout == f"untrained {__version__}\n"


def test_a_wrong_command_is_told_the_nearest(wrong):
    assert "Did you mean 'search'?" in wrong("serach")
