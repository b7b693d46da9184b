"""Where a benchmark's files are looked for, and what checking them says."""

import hashlib
from pathlib import Path

import pytest

from untrained.benchmarks import _data
from untrained.benchmarks.nas_bench_nlp import NasBenchNlp
from untrained.core.benchmark import Benchmark, File, Table
from untrained.core.errors import BadData, UsageError

BODY = b"a published table\n"


class Toy(Benchmark):
    """Two files."""

    name = "toy_table"
    files = tuple(
        File(n, f"https://example.invalid/{n}", len(BODY), hashlib.sha256(BODY).hexdigest(), "CC0")
        for n in ("a.csv", "b.csv")
    )

    def read(self, folder, space):
        return Table(())


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache of this test's own, and no folder from the environment."""
    monkeypatch.delenv("UNTRAINED_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "untrained"


def filled(folder: Path, *names: str, body: bytes = BODY) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("a.csv", "b.csv"):
        (folder / name).write_bytes(body)
    return folder


@pytest.mark.parametrize("inside", [".", "toy-table", "toy_table"])
def test_a_named_folder_may_be_the_benchmarks_own_or_the_one_that_holds_it(tmp_path, inside):
    own = filled(tmp_path / "data" / inside)
    assert _data.folder(Toy, tmp_path / "data") == own
    assert _data.folder(Toy, str(tmp_path / "data")) == own


def test_a_named_folder_comes_before_the_variable_and_that_before_the_cache(tmp_path, monkeypatch, own_cache):
    cached = filled(own_cache / "toy-table")
    assert _data.folder(Toy) == cached
    variable = filled(tmp_path / "variable")
    monkeypatch.setenv("UNTRAINED_DATA", str(variable))
    assert _data.folder(Toy) == variable
    named = filled(tmp_path / "named")
    assert _data.folder(Toy, named) == named


def test_the_cache_helps_out_where_the_variable_has_nothing(tmp_path, monkeypatch, own_cache):
    cached = filled(own_cache / "toy-table", "b.csv")
    monkeypatch.setenv("UNTRAINED_DATA", str(tmp_path / "other"))
    assert _data.folder(Toy) == cached


def test_a_named_folder_without_the_files_is_an_error_even_if_the_cache_has_them(tmp_path, own_cache):
    filled(own_cache / "toy-table")
    with pytest.raises(BadData, match="untrained data get toy_table") as caught:
        _data.folder(Toy, tmp_path / "wrong")
    assert "wrong (no such folder)" in str(caught.value)
    assert "a.csv or b.csv" in str(caught.value)
    assert "--data DIR, or UNTRAINED_DATA=DIR" in str(caught.value)


def test_nothing_anywhere_names_every_place(tmp_path, monkeypatch, own_cache):
    monkeypatch.setenv("UNTRAINED_DATA", str(tmp_path))
    with pytest.raises(BadData) as caught:
        _data.folder(Toy)
    assert str(tmp_path / "toy-table") in str(caught.value)
    assert str(own_cache / "toy-table") in str(caught.value)


def test_the_cache_is_the_variable_else_xdg_else_the_home_folder(tmp_path, monkeypatch, own_cache):
    assert _data.cache() == own_cache
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert _data.cache() == tmp_path / "home" / ".cache" / "untrained"
    monkeypatch.setenv("UNTRAINED_DATA", str(tmp_path / "here"))
    assert _data.cache() == tmp_path / "here"


def test_a_user_without_a_home_folder_is_told_to_name_one(monkeypatch):
    def homeless():
        raise RuntimeError

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(UsageError, match="UNTRAINED_DATA=DIR"):
        _data.cache()


@pytest.mark.parametrize(
    ("root", "where"), [("data", "data/toy-table"), ("toy-table", "toy-table"), ("toy_table", "toy_table")]
)
def test_new_files_go_into_a_folder_named_after_the_benchmark(tmp_path, root, where):
    assert _data.place(Toy, tmp_path / root) == tmp_path / where


def test_verify_tells_good_missing_and_different_files_apart(tmp_path):
    filled(tmp_path, "a.csv")
    good, missing = _data.verify(Toy, tmp_path)
    assert (good.status, good.path, good.bytes) == ("ok", tmp_path / "a.csv", len(BODY))
    assert (missing.status, missing.path, missing.sha256) == ("missing", tmp_path / "b.csv", None)
    filled(tmp_path, "b.csv", body=b"only a part")
    differs = _data.verify(Toy, tmp_path)[1]
    assert (differs.status, differs.bytes) == ("differs", 11)
    assert differs.sha256 == hashlib.sha256(b"only a part").hexdigest() != differs.file.sha256


def test_verify_of_nothing_says_where_files_would_lie(tmp_path):
    checks = _data.verify(Toy, tmp_path / "nowhere")
    assert [c.status for c in checks] == ["missing", "missing"]
    assert checks[0].path == tmp_path / "nowhere" / "toy-table" / "a.csv"


def test_a_file_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    filled(tmp_path)

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadData, match="Permission denied"):
        _data.verify(Toy, tmp_path)


def test_a_part_of_the_published_data_is_reported_as_different(pair):
    checks = _data.verify(NasBenchNlp, pair)
    assert [c.status for c in checks] == ["differs", "differs"]
    assert checks[0].file.sha256.startswith("f5052d6b")
