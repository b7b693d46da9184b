"""`untrained sample`, `score` and `rank`."""

import json
import os
import subprocess
import sys

import pytest

from untrained.core.architecture import Architecture
from untrained.core.metric import proxy


def test_sample_prints_what_from_json_reads(run, space):
    lines = run("sample", "rnn_cell", "-n", 5, "--seed", 3).stdout.splitlines()
    archs = [Architecture.from_json(line) for line in lines]
    assert [a.to_json() for a in archs] == lines
    for arch in archs:
        space.validate(arch)


def test_sample_depends_on_the_seed_alone(run):
    first = run("sample", "rnn_cell", "-n", 3, "--seed", 3).stdout
    assert run("sample", "rnn_cell", "-n", 3, "--seed", 3).stdout == first
    assert first.startswith(run("sample", "rnn_cell", "-n", 2, "--seed", 3).stdout)
    assert run("sample", "rnn_cell", "-n", 3, "--seed", 4).stdout != first


def test_sample_as_json_has_ids(run):
    records = json.loads(run("sample", "rnn_cell", "-n", 2, "--json").stdout)
    for record in records:
        assert Architecture.from_json(record["architecture"]).id == record["arch"]


@pytest.mark.parametrize("words", [["nope"], ["rnn_cell", "-n", "0"], ["rnn_cell", "-n", "x"], []])
def test_sample_used_wrongly(wrong, words):
    wrong("sample", *words)


def test_score_prints_a_row_per_network_and_metric(run, cells):
    said = run("score", "--arch", cells, "--proxy", "fading_memory,params").stdout.splitlines()
    assert said[0].split() == ["network", "metric", "value", "unit", "better", "ms"]
    assert len(said) == 1 + 5 * 2
    assert {line.split()[1] for line in said[1:]} == {"fading_memory", "params"}


def test_score_as_json(run, cells):
    records = json.loads(
        run("score", "--arch", cells, "-p", "fading_memory", "-p", "params", "--json").stdout
    )
    assert [r["proxy"] for r in records] == ["fading_memory", "params"] * 5
    want = {"arch", "proxy", "value", "better", "unit", "seconds", "seed", "spread", "status"}
    assert all(want <= r.keys() and r["status"] == "ok" for r in records)
    assert records[0]["arch"] == Architecture.from_json(cells.read_text().splitlines()[0]).id


def test_score_of_well_known_networks(run, tmp_path, space):
    recipe = tmp_path / "gru.json"
    recipe.write_text(json.dumps(space.to_recipe(space.classic("gru")), indent=1))
    said = run("score", "-r", "lstm", "-r", "LSTM", "-r", recipe, "-p", "params").stdout
    assert f"{space.classic('lstm').id} (lstm)" in said
    assert f"{space.classic('gru').id} ({recipe})" in said


def test_score_of_one_network_shows_the_parts(run):
    said = run("score", "-r", "lstm").stdout
    assert "fading_memory.memory" in said
    assert "fading_memory.live" in said


def test_score_over_seeds_has_a_spread(run):
    records = json.loads(run("score", "-r", "rnn", "--seeds", 3, "--json").stdout)
    assert records[0]["spread"] > 0
    assert " spread " in run("score", "-r", "rnn", "--seeds", 3).stdout


def test_score_reads_what_other_commands_write(run, cells):
    ranked = run("rank", cells, "--top", 2, "--json").stdout
    scored = json.loads(run("score", "--arch", "-", "--json", stdin=ranked).stdout)
    assert [r["arch"] for r in scored] == [r["arch"] for r in json.loads(ranked)]
    assert [r["value"] for r in scored] == [r["fading_memory"] for r in json.loads(ranked)]


def test_a_failure_is_a_record_with_its_reason(run, cells):
    words = ["score", "--arch", cells, "-p", "params,hidden_covariance:layer=9"]
    records = json.loads(run(*words, "--json").stdout)
    bad = [r for r in records if r["status"] == "failed"]
    assert len(bad) == 5
    assert all("layers 1 to 3" in r["reason"] and "value" not in r for r in bad)
    said = run(*words).stdout
    assert " failed " in said
    assert said.count("layers 1 to 3") == 1


def test_when_nothing_could_be_measured_the_work_has_failed(run, cells):
    for words in (["score", "--arch"], ["rank"]):
        said = run(*words, cells, "-p", "hidden_covariance:layer=9", code=1).stderr
        assert said.startswith("nothing could be measured: hidden_covariance: layer=9")


def test_rank_puts_the_best_first(run, cells):
    records = json.loads(run("rank", cells, "-p", "fading_memory,params", "--json").stdout)
    values = [r["fading_memory"] for r in records]
    assert values == sorted(values, reverse=True)
    assert [r["rank"] for r in records] == [1, 2, 3, 4, 5]
    assert all(r["params"] > 0 for r in records)
    smallest = json.loads(run("rank", cells, "-p", "params", "--json").stdout)
    assert [r["params"] for r in smallest] == sorted(r["params"] for r in smallest)


def test_rank_prints_the_top(run, cells):
    said = run("rank", cells, "--space", "rnn_cell", "--top", 2, "--seeds", 2).stdout.splitlines()
    assert said[0].split() == ["rank", "id", "fading_memory"]
    assert said[1].split()[0] == "1"
    assert "+-" in said[1]
    assert said[3] == "the best 2 of 5 by fading_memory: higher is better"


def test_rank_puts_failures_last_with_their_reason(run, cells):
    from untrained.core import registry
    from untrained.core.errors import MeasurementFailed

    @proxy()
    def half(probe) -> float:
        """Fails for every second network."""
        if next(turns) % 2:
            raise MeasurementFailed("an odd one")
        return 1.0

    turns = iter(range(100))
    try:
        result = run("rank", cells, "-p", "half")
        assert result.stdout.splitlines()[5].endswith("failed")
        assert "half: an odd one" in result.stdout
        records = json.loads(run("rank", cells, "-p", "half", "--json").stdout)
        assert records[-1]["half"] is None
        assert records[-1]["reason"] == "half: an odd one"
    finally:
        registry.forget("proxy", "half")


WRONG = {
    "no seeds": ["--seeds", "0"],
    "no such scale": ["--scale", "huge"],
    "no such text": ["--text", "nothing.txt"],
    "no such device": ["--device", "abacus"],
    "no such proxy": ["--proxy", "fading_memry"],
    "no proxy": ["--proxy", ","],
    "no such setting": ["--proxy", "latency:batsh=2"],
    "setting of another type": ["--proxy", "latency:batch=two"],
    "no such option": ["--sedes", "2"],
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("command", ["score --arch", "rank"])
def test_wrong_use(wrong, cells, command, words):
    said = wrong(*command.split(), cells, *words)
    assert words[1].partition(":")[0] in said or words[0] in said


def test_wrong_numbers_and_names(wrong, cells):
    assert "--top" in wrong("rank", cells, "--top", 0)
    assert "--workers" in wrong("rank", cells, "--workers", 0)
    assert "Did you mean 'lstm'" in wrong("score", "--recipe", "lsmt")
    assert "cannot read lstm.json" in wrong("score", "--recipe", "lstm.json")
    assert "untrained score --recipe lstm" in wrong("score")


def test_empty_and_short_texts(wrong, tmp_path):
    for body, said in (("", "is empty"), ("three short words", "too short"), ("\0", "binary")):
        text = tmp_path / f"{said}.txt"
        text.write_text(body)
        assert said in wrong("score", "-r", "lstm", "--text", text)


def test_nothing_but_the_result_is_printed_in_a_pipe(cells):
    words = [sys.executable, "-m", "untrained", "rank", str(cells), "--workers", "1", "--top", "1"]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=60, env=os.environ | {"NO_COLOR": "1"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 3
    assert "\x1b" not in done.stdout
