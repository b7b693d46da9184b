"""`rank --follow`: architectures ranked as they come, again and again."""

import json
import os
import subprocess
import sys

import pytest

import untrained as ut
from untrained.apps.arriving import Incoming
from untrained.apps.cli import _following, _inputs
from untrained.apps.probing import Lab, resolve
from untrained.core import registry
from untrained.core.aggregate import COMBINATIONS
from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, MeasurementFailed
from untrained.core.metric import proxy

TWO = ("-p", "fading_memory,params")


@pytest.fixture
def archs(cells):
    return [Architecture.from_json(line) for line in cells.read_text().splitlines()]


@pytest.mark.parametrize("how", [*COMBINATIONS, None])
def test_after_each_arrival_the_order_is_that_of_all_so_far_at_once(how, archs, space):
    coming = [*archs, archs[1]]  # and one that has been seen
    incoming = Incoming(Lab(space), resolve(["fading_memory", "params"]), how)
    for count, arrival in enumerate(incoming.see(coming), 1):
        whole = ut.rank(coming[:count], ["fading_memory", "params"], combine=how)
        order = [p.architecture for p in whole]
        assert incoming.ranking().records() == whole.records()
        assert incoming.best(count) == order
        assert arrival.count == count
        assert order[arrival.rank - 1] == arrival.architecture or arrival.architecture in coming[: count - 1]
        assert (arrival.combined is None) == (how is None)


def test_an_arrival_is_told_before_the_next_is_asked_for(archs, space):
    asked = []

    def coming():
        for arch in archs:
            asked.append(arch)
            yield arch

    told = Incoming(Lab(space), resolve(["params"])).see(coming())
    next(told)
    assert len(asked) == 1


def test_one_line_an_arrival_and_then_the_table_of_rank(run, cells):
    said = run("rank", "-", "--follow", *TWO, "--combine", "borda", stdin=cells.read_text()).stdout
    lines, table = said.split("\n\n")
    assert len(lines.splitlines()) == 5
    assert lines.splitlines()[0].split()[1:] == ["rank", "1", "of", "1", "borda", "0.5"]
    assert max(map(len, lines.splitlines())) <= 80
    assert table == run("rank", cells, *TWO, "--combine", "borda").stdout


def test_json_has_a_record_a_line_with_the_best_so_far(run, cells):
    said = run("rank", cells, "--follow", *TWO, "--combine", "log_rank", "--top", 2, "--json").stdout
    records = [json.loads(line) for line in said.splitlines()]
    assert [r["count"] for r in records] == [1, 2, 3, 4, 5]
    assert [len(r["best"]) for r in records] == [1, 2, 2, 2, 2]
    whole = json.loads(run("rank", cells, *TWO, "--combine", "log_rank", "--top", 2, "--json").stdout)
    assert records[-1]["best"] == [r["arch"] for r in whole]
    again = run("rank", "-", "-p", "params", stdin=said).stdout  # the records are architectures, too
    assert "best first by params" in again


def test_a_bad_line_loses_nothing_of_what_came_before(run, cells):
    lines = cells.read_text().splitlines()
    result = run("rank", "-", "--follow", "-p", "params", stdin="\n".join([*lines[:2], "{bad"]), code=2)
    assert "stdin, line 3: not JSON in one line" in result.stderr
    assert "best first by params" in result.stdout


def test_ctrl_c_ends_it_with_the_table(run, cells, monkeypatch):
    def interrupted(path, space):
        yield from list(_inputs.arriving(path, space))[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr(_following, "arriving", interrupted)
    result = run("rank", cells, "--follow", "-p", "params", code=130)
    assert "best first by params" in result.stdout
    assert "stopped" in result.stderr


def test_networks_without_a_number_are_told_and_if_all_are_the_command_has_failed(run, cells):
    before = set(registry.names("proxy"))

    @proxy(better="higher")
    def never(probe):
        """Fails."""
        raise MeasurementFailed("out of luck")

    try:
        result = run("rank", cells, "--follow", "-p", "never", code=1)
        assert "no rank of 1: never: out of luck" in result.stdout
        both = run("rank", cells, "--follow", "-p", "never,params", "--combine", "mean_rank", "--json").stdout
        assert all(json.loads(line)["reason"] == "never: out of luck" for line in both.splitlines())
    finally:
        for name in set(registry.names("proxy")) - before:
            registry.forget("proxy", name)


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (("-",), "", "holds no architecture"),
        (("-",), "\n \n", "holds no architecture"),
        (("-",), b"\xff\xfe\n", "line 1: not UTF-8"),
        (("-",), "[1]", "line 1: a JSON list is not an architecture"),
        (("-", "--combine", "borda"), "", "name two or more"),
        (("-", "-p", "parms"), "", "Did you mean 'params'"),
        (("-", "--workers", "2"), "", "--follow measures"),
        (("nowhere.jsonl",), "", "cannot read nowhere.jsonl"),
        ((), "", "--follow measures"),
        (("-",), b" " * (2**20 + 2), "line 1 is longer than 1 MiB"),
    ],
)
def test_wrong_use_is_told(wrong, words, stdin, said):
    more = () if "-p" in words else ("-p", "params")
    assert said in wrong("rank", *words, "--follow", *more, stdin=stdin)


def test_one_of_another_space_is_told(archs, space):
    other = ut.space("gpt_decoder").sample(ut.rng(0))
    with pytest.raises(InvalidArchitecture):
        list(Incoming(Lab(space), resolve(["params"])).see([archs[0], other]))


def test_a_stream_is_answered_line_by_line(cells):
    """A real pipe: the first answer is read before the second line is written."""
    words = [sys.executable, "-m", "untrained", "rank", "-", "--follow", "-p", "params"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as command:
        lines = cells.read_text().splitlines(keepends=True)
        for count, line in enumerate(lines[:2], 1):
            command.stdin.write(line)
            command.stdin.flush()
            assert f"of {count} " in command.stdout.readline()
        command.stdin.close()
        assert "best first by params" in command.stdout.read()
    assert command.returncode == 0
