"""`untrained studies`, and --study elsewhere."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from untrained.apps import api
from untrained.studies.store import Store, load, names


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two searches in one store; a constraint turns some of the first away."""
    path = tmp_path_factory.mktemp("studies") / "both.db"
    more = {"seed": 1, "minimize": "params", "maximize": "depth_width_rank"}
    limits = {"where": "layers > 2 and params <= 2e7", "also": ["flops"]}
    api.search("bert_encoder", trials=12, store=path, study="small", **limits, **more)
    api.search("bert_encoder", trials=5, store=path, study="free", strategy="random_search", **more)
    return path


@pytest.fixture
def both(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path))


def test_list(run, both):
    said = run("studies", "list", both).stdout
    assert said.splitlines()[0].split() == ["study", "trials", "best", "value", "question"]
    assert said.index("free ") < said.index("small ")
    assert "max depth_width_rank, min params where layers > 2 and params <= 2e7; nsga2" in said
    records = json.loads(run("studies", "list", both, "--json").stdout)
    assert [(r["study"], r["trials"]) for r in records] == [("free", 5), ("small", 12)]
    best = load(both, study="small").best
    assert best is not None
    assert records[1]["best"]["arch"] == best.id
    assert best.id in said


def test_list_of_an_empty_store(run, tmp_path):
    with Store(tmp_path / "s.db", write=True):
        pass
    assert run("studies", "list", tmp_path / "s.db").stdout.split()[0] == "study"
    assert json.loads(run("studies", "list", tmp_path / "s.db", "--json").stdout) == []


def test_show_and_report_say_the_same(run, both):
    study = load(both, study="small")
    said = run("studies", "show", both, "--study", "small").stdout
    report = run("report", both, "--study", "small").stdout
    assert said.startswith("Search of bert_encoder: small\n===")
    body = said[said.index("The question\n") :]
    assert body.rstrip() in report
    assert "12 trials: " in said
    assert "turned away " in said
    assert f"{len(study.front())} architectures that no other beats" in said
    record = json.loads(run("studies", "show", both, "--study", "small", "--json").stdout)
    assert [r["arch"] for r in record["front"]] == [t.architecture.id for t in study.front()]
    assert [r["arch"] for r in record["best"]] == [t.architecture.id for t in study.distinct()[:10]]
    assert record.pop("study") == "small"
    whole = json.loads(run("report", both, "--study", "small", "--json").stdout)
    assert record.items() < whole.items()


def test_which_study_is_asked_for(wrong, both):
    for words in (
        ["studies", "show", both],
        ["report", both],
        ["studies", "export", both, "--to=csv", "-o=x"],
    ):
        said = wrong(*words)
        assert "has several studies; it has: free, small." in said
        assert "--study NAME" in said
    assert "no study 'large'; it has: free, small" in wrong("studies", "show", both, "--study", "large")
    assert "there is no store" in wrong("studies", "list", both.with_name("absent.db"))


def test_delete(run, wrong, both):
    assert "add: --yes" in wrong("studies", "delete", both, "small")
    assert names(both) == ["free", "small"]
    assert "no study 'large'; it has: free, small" in wrong("studies", "delete", both, "large", "--yes")
    with Store(both, write=True, study="free"):
        assert "another process is writing" in wrong("studies", "delete", both, "small", "--yes")
    assert run("studies", "delete", both, "small", "--yes").stdout == "deleted: small\n"
    assert names(both) == ["free"]
    said = run("studies", "delete", both, "free", "--yes", "--json").stdout
    assert json.loads(said) == {"store": str(both), "deleted": "free"}
    assert names(both) == []


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, ["free"]), ("n\n", 1, ["free", "small"])])
def test_delete_asks(run, both, monkeypatch, answer, code, left):
    from untrained.apps.cli import studies

    monkeypatch.setattr(studies, "_asks", lambda: True)
    result = run("studies", "delete", both, "small", stdin=answer, code=code)
    assert "Delete the study 'small'" in result.stderr
    assert names(both) == left


def test_export_as_json_lines(run, wrong, both, tmp_path):
    study, out = load(both, study="small"), tmp_path / "t.jsonl"
    words = ["studies", "export", both, "--study", "small", "--to", "jsonl", "-o", out]
    assert f"written: {out} (12 trials)" in run(*words).stderr
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["trial"] for r in records] == list(range(12))
    assert [r["status"] for r in records] == [t.status for t in study.trials]
    assert [r["values"] for r in records] == [dict(t.values) for t in study.trials]
    assert [r.get("reason") for r in records] == [t.reason for t in study.trials]
    assert "flops" in next(r for r in records if r["status"] == "ok")["values"]
    assert len(json.loads(run("rank", out, "--proxy", "params", "--json").stdout)) > 1
    before = out.read_bytes()
    assert "is there already" in wrong(*words)
    out.write_text("mine")
    assert "--force" in wrong(*words)
    assert out.read_text() == "mine"
    assert json.loads(run(*words, "--force", "--json").stdout)["trials"] == 12
    assert out.read_bytes() == before


def test_export_as_csv(run, both, tmp_path):
    study, out = load(both, study="small"), tmp_path / "t.csv"
    run("studies", "export", both, "--study", "small", "--to", "csv", "-o", out)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["trial", "arch", "status", "depth_width_rank", "params"]
    for row, trial in zip(rows, study.trials, strict=True):
        assert (row["trial"], row["arch"]) == (str(trial.number), trial.architecture.id)
        for name in ("depth_width_rank", "params", "flops"):
            assert row[name] == ("" if name not in trial.values else str(trial.values[name]))
        assert row["architecture"] == trial.architecture.to_json()
        assert row["reason"] == (trial.reason or "")


def test_export_wrongly(wrong, both, tmp_path):
    words = ["studies", "export", both, "--study", "free", "--to"]
    assert "Did you mean 'csv'" in wrong(*words, "cvs", "-o", tmp_path / "x")
    assert "name one: -o trials.csv" in wrong(*words, "csv", "-o", "sqlite:///x.db")
    assert "mkdir -p" in wrong(*words, "csv", "-o", tmp_path / "nowhere" / "x.csv")
    for itself in (both, f"sqlite:///{both}"):
        assert "the store itself" in wrong(*words, "optuna", "-o", itself, "--force")
    assert names(both) == ["free", "small"]
    assert "this is a folder" in wrong(*words, "csv", "-o", tmp_path)


@pytest.mark.parametrize("words", ["studies list", "studies show", "studies export", "studies delete"])
def test_help(run, words):
    said = run(*words.split(), "-h").stdout
    assert "--json" in said
    assert max(map(len, said.splitlines())) <= 80


def test_from_python(both):
    import untrained as ut

    found = ut.overview(both, study="small")
    assert found.best == ut.load(both, study="small").best
    assert found.trials == 12
