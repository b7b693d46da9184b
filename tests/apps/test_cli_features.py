"""`untrained features` and the tables it keeps."""

import csv
import json
import math
import sys

import pytest

import untrained as ut
from untrained.apps.featuring import FeatureTable, read, write
from untrained.core.errors import MissingExtra, UsageError
from untrained.metrics.features import FEATURES

ABOUT = {"features": FEATURES, "space": "rnn_cell", "scale": "probe", "seed": 0, "text": ""}


def made():
    rows = {
        "a": {"ln_params": 1.5, "gates": 3.0},
        "b": {"ln_params": 2.5},
        "c": {"ln_params": 0.1, "gates": 1.0},
    }
    return FeatureTable(dict(ABOUT), rows, {"d": "the network explodes, twice"})


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_table_is_read_as_it_was_written(tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"features.{ending}"
    write(made(), path)
    found = read(path, ABOUT)
    assert (found.rows, found.reasons) == (made().rows, made().reasons)
    assert {k: str(v) for k, v in read(path).about.items()} == {k: str(v) for k, v in ABOUT.items()}


def test_parquet_without_its_package_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("untrained.apps.featuring.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"untrained\[predictors\]"):
        read(tmp_path / "features.parquet")


def test_what_one_lacks_is_the_median_and_what_most_lack_is_left_out():
    table = made()
    table.rows["a"]["active"] = 0.5
    names, values = table.matrix(["a", "b", "c", "d"])
    assert names == ["ln_params", "gates"]
    assert values.tolist() == [[1.5, 3.0], [2.5, 2.0], [0.1, 1.0], [1.5, 2.0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features": 99}, "another version of the features: '99', not '1'"),
        ({"seed": 7}, "another seed"),
        ({"text": "abc"}, "another text"),
        ({"scale": "paper"}, "another scale"),
        ({"space": "gpt_decoder"}, "another space"),
        ({"features": ""}, "no version"),
        ({"ln_params": "nan"}, "ln_params is nan"),
        ({"ln_params": "word"}, "row 1"),
        ({"ln_params": "inf"}, "ln_params is inf"),
        ({"arch": ""}, "no architecture"),
    ],
)
def test_a_table_measured_in_another_way_is_refused(tmp_path, change, said):
    path = tmp_path / "features.csv"
    write(made(), path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows([{**rows[0], **change}, *rows[1:]])
    with pytest.raises(UsageError, match=said):
        read(path, ABOUT)


def test_an_architecture_that_stands_twice_is_told(tmp_path):
    path = tmp_path / "features.jsonl"
    write(made(), path)
    path.write_text(path.read_text() * 2)
    with pytest.raises(UsageError, match="stands there twice"):
        read(path, ABOUT)


@pytest.mark.parametrize("text", ["hello\n", "{", "[1]\n", '{"a": 1}\n'])
def test_another_file_is_told(tmp_path, text):
    path = tmp_path / "features.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"no table of features|no architecture"):
        read(path, ABOUT)


def test_a_number_too_large_for_a_feature_is_told(tmp_path):
    path = tmp_path / "features.jsonl"
    path.write_text(json.dumps({"arch": "a", **ABOUT, "ln_params": 10**400}) + "\n")
    with pytest.raises(UsageError, match="row 1"):
        read(path, ABOUT)


def test_features_of_another_version_are_told_before_the_work_and_stay(wrong, cells, tmp_path):
    path = tmp_path / "features.csv"
    table = made()
    table.about["features"] = 99
    write(table, path)
    before = path.read_bytes()
    assert "another version of the features: '99'" in wrong("features", cells, "-o", path)
    assert path.read_bytes() == before


def test_what_stands_in_the_file_is_not_measured_again(run, cells, tmp_path):
    path = tmp_path / "features.csv"
    said = json.loads(run("features", cells, "-o", path, "--json").stdout)
    assert {r["name"] for r in said} >= {"last_memory", "gates"}
    first = read(path)
    assert len(first.rows) == 5
    kept = path.read_text().replace(repr(first.rows[next(iter(first.rows))]["last_memory"]), "123.5")
    path.write_text(kept)
    run("features", "rnn_cell", "-n", "2", "-o", path)
    found = read(path)
    assert len(found.rows) == 7
    assert next(iter(found.rows.values()))["last_memory"] == 123.5


def test_python_and_the_command_give_the_same(run, tmp_path):
    path = tmp_path / "features.jsonl"
    run("features", "rnn_cell", "-n", "2", "--seed", "4", "-o", path)
    luck = ut.rng(4)
    space = ut.space("rnn_cell")
    found = ut.features([space.sample(luck) for _ in range(2)], seed=4)
    assert found.rows == read(path).rows
    assert all(math.isfinite(v) for row in found.rows.values() for v in row.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rnn_cell", "-o", "features.txt"), "features.csv"),
        (("rnn_cell", "-n", "0", "-o", "features.csv"), "--number"),
        (("nothing.jsonl", "-o", "features.csv"), "cannot read"),
        (("rnn_cell", "-n", "1", "-o", "no/where.csv"), "mkdir"),
    ],
)
def test_wrong_use_is_told(wrong, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in wrong("features", *words)
