"""`untrained search` and `untrained report`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from untrained.apps import api
from untrained.core.architecture import Architecture
from untrained.core.study import Trial
from untrained.studies.store import load

SEARCH = ["search", "rnn_cell", "--trials", "12", "--seed", "1"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of twelve trials, half of which a constraint turns away."""
    path = tmp_path_factory.mktemp("searched") / "study.db"
    api.search("rnn_cell", trials=12, seed=1, where="params <= 9e6", also=["lag0_gain"], store=path)
    return path


@pytest.fixture
def store(searched: Path, tmp_path: Path) -> Path:
    """The same in a store of one's own."""
    return Path(shutil.copy(searched, tmp_path))


def test_search_says_what_it_found_and_what_to_type_next(run, tmp_path):
    path = tmp_path / "my study.db"
    said = run(*SEARCH, "--where", "params <= 9e6", "--store", path).stdout
    assert said.startswith("12 new trials in ")
    assert " ms each\n" in said
    assert "12 trials: " in said
    assert "turned away " in said
    assert "\nThe best " in said
    assert f"report:  untrained report '{path}' -o report.html" in said
    assert "with --resume and --trials 24" in said
    best = load(path).best
    assert best is not None
    assert "   1 " in said
    assert best.id in said


def test_search_without_a_store_says_that_nothing_is_kept(run):
    said = run("search", "rnn_cell", "--trials", 3).stdout
    assert "nothing was kept on disk" in said
    assert "untrained report" not in said


def test_search_as_json(run):
    words = ["--maximize", "fading_memory", "--minimize", "params,flops", "--strategy", "random_search"]
    record = json.loads(run(*SEARCH, *words, "--json").stdout)
    assert record["question"]["objectives"] == [
        ["fading_memory", "higher"],
        ["params", "lower"],
        ["flops", "lower"],
    ]
    assert record["new_trials"] == record["counts"]["trials"] == 12
    values = [r["values"]["fading_memory"] for r in record["best"]]
    assert values == sorted(values, reverse=True)
    assert record["front"]
    assert Architecture.from_json(record["best"][0]["architecture"]).id == record["best"][0]["arch"]


def test_search_says_the_same_as_python(run):
    record = json.loads(run(*SEARCH, "--json").stdout)
    study = api.search("rnn_cell", trials=12, seed=1)
    assert record["best"][0]["arch"] == study.distinct()[0].architecture.id
    assert record["best"][0]["values"] == dict(study.distinct()[0].values)


def test_search_can_minimize_alone(run):
    record = json.loads(run(*SEARCH, "--minimize", "params", "--json").stdout)
    sizes = [r["params"] for r in record["best"]]
    assert sizes == sorted(sizes)


def test_resume_adds_trials_to_the_store(run, store):
    before = [t.architecture.id for t in load(store).trials]
    words = ["--where", "params <= 9e6", "--also", "lag0_gain", "--store", store, "--resume"]
    said = run("search", "rnn_cell", "--seed", 1, "--trials", 15, *words).stdout
    assert said.startswith("3 new trials in ")
    assert [t.architecture.id for t in load(store).trials][:12] == before
    assert run("search", "rnn_cell", "--seed", 1, "--trials", 15, *words).stdout.startswith(
        "0 new trials in "
    )


def test_a_search_without_a_good_trial_has_failed(run):
    result = run("search", "rnn_cell", "--trials", 3, "--where", "params < 10", code=1)
    assert "3 turned away by a constraint" in result.stdout
    assert result.stderr.startswith("no trial of 3 was good; the last one: params < 10\n")


def test_ctrl_c_says_how_to_go_on(run, monkeypatch, tmp_path):
    def interrupted(space, *, progress, **options):
        progress(1, 10, Trial(0, Architecture.of(space), "ok", score=1.0))
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "search", interrupted)
    path = tmp_path / "study.db"
    said = run("search", "rnn_cell", "--store", path, code=130).stderr
    assert f"new trials in {path}: 1; to go on, type the same and --resume" in said


def test_ctrl_c_in_the_middle_loses_nothing(run, tmp_path):
    path = tmp_path / "study.db"
    call = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        " from untrained.apps.cli import main; main()"
    )
    words = ["search", "rnn_cell", "--trials", "1000000", "--store", str(path)]
    process = subprocess.Popen([sys.executable, "-c", call, *words], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.endswith("stopped\n")
    assert "Traceback" not in error
    assert load(path).trials or "study.db: 0;" in error


WRONG = {
    "no such space": (["search", "nope"], "untrained list space"),
    "no trials": (["search", "rnn_cell", "--trials", "0"], "--trials"),
    "negative trials": (["search", "rnn_cell", "--trials", "-1"], "--trials"),
    "trials in words": (["search", "rnn_cell", "--trials", "ten"], "--trials"),
    "bad where": (["search", "rnn_cell", "--where", "params <"], "--where, column"),
    "unknown in where": (["search", "rnn_cell", "--where", "parms < 3"], "Did you mean 'params'?"),
    "no such metric": (["search", "rnn_cell", "--maximize", "fading_memry"], "Did you mean 'fading_memory'"),
    "no such strategy": (["search", "rnn_cell", "--strategy", "evolve"], "untrained list strategy"),
    "no such option": (["search", "rnn_cell", "--strategy", "random_search:n=3"], "has no option 'n'"),
    "no such scale": (["search", "rnn_cell", "--scale", "huge"], "no scale is called 'huge'"),
    "no such text": (["search", "rnn_cell", "--text", "nothing.txt"], "cannot read the text nothing.txt"),
    "no such device": (["search", "rnn_cell", "--device", "abacus"], "the device abacus cannot be used here"),
    "no such folder": (["search", "rnn_cell", "--store", "nowhere/study.db"], "mkdir -p nowhere"),
    "store is a folder": (["search", "rnn_cell", "--store", "."], "is a folder"),
    "resume of nothing": (["search", "rnn_cell", "--resume"], "--store study.db"),
    "report of nothing": (["report", "nothing.db"], "there is no store nothing.db"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_wrong_use(wrong, words, said):
    assert said in wrong(*words)


def test_stores_that_cannot_serve(wrong, store, cells):
    assert "go on with it: --resume" in wrong(*SEARCH, "--store", store)
    other = wrong(*SEARCH, "--store", store, "--resume")
    assert "another question" in other
    assert "where: 'params <= 9e6' there, '' now" in other
    assert "is not a database" in wrong(*SEARCH, "--store", cells)
    assert "is not a database" in wrong("report", cells)


def test_report_has_every_section(run, store):
    said = run("report", store).stdout
    for heading in (
        "Search of rnn_cell",
        "The question",
        "What happened",
        "The best",
        "The best architecture",
        "How far to trust the order",
        "To repeat it",
    ):
        assert f"\n{heading}" in f"\n{said}"
    study = load(store)
    assert study.best is not None
    assert study.best.to_json() in said.splitlines()
    assert '"h_new_0"' in said
    assert "untrained correlate bench_rnn --proxy fading_memory" in said  # in the package: no download
    assert "other tables: nas_bench_nlp" in " ".join(said.split())
    assert "lag0_gain" in said
    assert "--where 'params <= 9e6'" in said


def test_the_command_in_a_report_repeats_the_search(run, store, tmp_path, monkeypatch):
    import shlex

    monkeypatch.chdir(tmp_path)
    words = shlex.split(json.loads(run("report", store, "--json").stdout)["command"])
    run(*words[1:])
    again = load(tmp_path / "again.db")
    assert again.question == load(store).question
    assert [t.values for t in again.trials] == [t.values for t in load(store).trials]


def test_report_writes_markdown(run, store, tmp_path):
    path = tmp_path / "report.md"
    path.write_text("an older one")
    result = run("report", store, "-o", path)
    text = path.read_text()
    assert result.stderr == f"written: {path}\n"
    assert text.startswith(
        "# Search of rnn_cell\n\n## The question\n\n|  |  |\n|---|---|\n| maximize | fading_memory |"
    )
    assert "```\nuntrained search rnn_cell " in text
    assert sorted(p.name for p in tmp_path.iterdir() if "report" in p.name) == ["report.md"]


def test_report_shows_the_front_of_several_objectives(run, tmp_path):
    path = tmp_path / "two.db"
    run(*SEARCH, "--maximize", "fading_memory", "--minimize", "params", "--store", path)
    said = run("report", path).stdout
    assert "\nThe front\n" in said
    assert f"{len(load(path).front())} architectures that no other beats" in said


def test_report_output_is_checked_first(wrong, store, tmp_path):
    assert "mkdir -p" in wrong("report", store, "-o", tmp_path / "nowhere" / "report.md")
    assert "this is a folder" in wrong("report", store, "-o", tmp_path)
    assert "a report is no .pdf file" in wrong("report", store, "-o", tmp_path / "report.pdf")
    assert "no format is called 'htlm'. Did you mean 'html'?" in wrong("report", store, "--format", "htlm")
    assert "a picture needs a file" in wrong("report", store, "--format", "png")


def test_report_as_json(run, store):
    record = json.loads(run("report", store, "--json").stdout)
    counts = record["counts"]
    assert counts["trials"] == 12
    assert counts["ok"] + counts["rejected"] + counts["failed"] + counts["duplicates"] == 12
    assert counts["clauses"] == {"params <= 9e6": counts["rejected"]}
    assert record["best"][0]["params"] <= 9e6
    assert os.path.samefile(record["store"], store)
