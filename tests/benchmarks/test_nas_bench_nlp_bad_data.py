"""NAS-Bench-NLP: files that are missing, damaged or not what they should be."""

import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from untrained.benchmarks import _nlp_logs
from untrained.benchmarks.nas_bench_nlp import NasBenchNlp
from untrained.core.errors import BadData

NAN = float("nan")


def read(folder, space):
    return NasBenchNlp().read(folder, space)


def fails(folder, space, *words):
    """The BadData of reading that folder; its message names all these words and what to type."""
    with pytest.raises(BadData) as caught:
        read(folder, space)
    text = str(caught.value)
    assert all(word in text for word in (*words, "untrained data get nas_bench_nlp")), text
    return text


def test_a_folder_that_is_not_there(tmp_path, cells):
    fails(tmp_path / "nowhere", cells, "nowhere", "no such folder", "--data DIR")


def test_a_file_given_as_folder(pair, cells):
    fails(pair / "RNN_results.csv", cells, "a file", "--data DIR")


def test_an_empty_folder(tmp_path, cells):
    fails(tmp_path, cells, "wikitext2_logs.zip", "RNN_results.csv", str(tmp_path))


def test_without_the_archive_the_table_serves_and_says_so(pair, cells):
    (pair / "wikitext2_logs.zip").unlink()
    table = read(pair, cells)
    assert [row.key for row in table.rows] == ["7", "8", "1000"]
    assert all(row.architecture is None for row in table.rows)
    (sentence,) = table.skipped
    assert "wikitext2_logs.zip is not in" in sentence
    assert "untrained data get nas_bench_nlp" in sentence


def test_without_the_table_the_archive_serves_and_says_so(pair, cells):
    (pair / "RNN_results.csv").unlink()
    table = read(pair, cells)
    assert [row.truth.keys() for row in table.rows] == [{"wikitext2_val_loss", "wikitext2_test_loss"}] * 3
    (sentence,) = table.skipped
    assert "RNN_results.csv is not in" in sentence


@pytest.mark.parametrize("kept", [0, 10, 300])
def test_a_truncated_archive(pair, cells, kept):
    path = pair / "wikitext2_logs.zip"
    path.write_bytes(path.read_bytes()[:kept])
    fails(pair, cells, str(path), "not a whole zip archive", "untrained data verify nas_bench_nlp")


def test_an_archive_without_logs(tmp_path, cells, files):
    files.archive(tmp_path, {"readme.txt": "nothing here"})
    fails(tmp_path, cells, "holds no training log")


def test_an_archive_with_only_broken_logs(tmp_path, cells, files):
    files.archive(tmp_path, {"a.json": "{", "b.json": "[]"})
    fails(tmp_path, cells, "none of its 2 logs can be used", "a: not JSON")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("{not json", "not JSON"),
        (b"\xff\xfe\x00garbage", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1, 2]", "not a JSON object"),
        ({"recepie": None}, "has no recipe"),
        ({"recepie": 3}, "has no recipe"),
        ({"recepie": '{"f": {}}'}, "has no node 'h_new_0'"),
        ({"val_losses": None}, "no list of losses under 'val_losses'"),
        ({"test_losses": "5.0"}, "no list of losses under 'test_losses'"),
        ({"val_losses": ["5.0"]}, "'val_losses' holds '5.0', which is not a number"),
        ({"val_losses": [True]}, "'val_losses' holds True, which is not a number"),
        ({"val_losses": [10**400]}, "too large"),
    ],
)
def test_one_broken_log_is_named_and_the_rest_is_used(tmp_path, cells, files, broken, why):
    body = files.log(8, **broken) if isinstance(broken, dict) else broken
    files.archive(tmp_path, {files.log_name(7): files.log(7), files.log_name(8): body})
    files.table(tmp_path, [files.line(7), files.line(8)])
    table = read(tmp_path, cells)
    # The broken log is no row, yet what the table says about its cell is still known.
    assert [(row.key, row.architecture is None) for row in table.rows] == [("7", False), ("8", True)]
    (sentence,) = table.skipped
    assert why in sentence
    assert files.log_name(8).removesuffix(".json") in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "failed",
    [
        {"val_losses": [NAN], "test_losses": [NAN], "status": "loss is nan!"},
        {"val_losses": [6.0, NAN], "test_losses": [6.0, NAN], "status": "loss is nan!"},
        {"val_losses": [6.0, float("inf"), 5.0]},
        {"val_losses": [6.0], "test_losses": [6.0], "status": "Exception: math range error"},
        {"val_losses": [], "test_losses": []},
    ],
)
def test_a_run_that_failed_has_no_truth_and_is_named(tmp_path, cells, files, failed):
    files.archive(tmp_path, {"a.json": files.log(7), "b.json": files.log(8, **failed)})
    files.table(tmp_path, [files.line(8, 5.2)])
    table = read(tmp_path, cells)
    assert table.rows[1].truth == {"ptb_test_loss": 5.2}
    assert table.rows[1].architecture is not None
    (sentence,) = table.skipped
    assert "wikitext2_logs.zip: b: " in sentence


def test_a_run_that_was_stopped_counts_with_a_note(tmp_path, cells, files):
    stopped = files.log(7, epochs=50, status="KeyboardInterrupt")
    files.archive(tmp_path, {"a.json": stopped})
    files.table(tmp_path, [files.line(7)])
    table = read(tmp_path, cells)
    assert table.rows[0].truth["wikitext2_val_loss"] == 5.0
    assert table.skipped == ()
    assert "stopped after 3 of 50 epochs" in table.notes[0]


def test_a_best_epoch_without_test_loss_is_named(tmp_path, cells, files):
    files.archive(tmp_path, {"a.json": files.log(7, test_losses=[5.9])})
    files.table(tmp_path, [files.line(7)])
    table = read(tmp_path, cells)
    assert table.rows[0].truth.keys() == {"wikitext2_val_loss", "ptb_test_loss"}
    assert "no test loss for its best epoch" in table.skipped[0]


def test_a_member_that_unpacks_to_too_much_is_not_unpacked(tmp_path, cells, files, monkeypatch):
    monkeypatch.setattr(_nlp_logs, "LARGEST", 10_000)
    files.archive(tmp_path, {"a.json": files.log(7), "bomb.json": " " * 10_001})
    table = read(tmp_path, cells)
    assert len(table.rows) == 1
    assert "bomb: says that it unpacks to 10,001 bytes; the limit is 10,000" in table.skipped[0]


def test_a_member_that_lies_about_its_size_is_refused(tmp_path, cells, files):
    path = files.archive(tmp_path, {"a.json": files.log(7), "bomb.json": " " * 100_000})
    small = path.read_bytes().replace((100_000).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    path.write_bytes(small)
    table = read(tmp_path, cells)
    assert "bomb: cannot be unpacked" in table.skipped[0]


def test_a_later_method_of_compression_is_named(tmp_path, cells, files):
    path = files.archive(tmp_path, {"a.json": files.log(7), "b.json": files.log(8)})
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("b.json").header_offset
    data = bytearray(path.read_bytes())
    data[at + 8 : at + 10] = b"\x63\x00"  # local header: method 99
    data[data.rfind(b"PK\x01\x02") + 10] = 99  # central directory
    path.write_bytes(bytes(data))
    table = read(tmp_path, cells)
    assert [row.key for row in table.rows] == ["7"]
    assert "b: cannot be unpacked" in table.skipped[0]


def test_names_in_an_archive_cannot_talk_to_the_terminal(tmp_path, cells, files):
    files.archive(tmp_path, {"a.json": files.log(7), "\x1b[2Jb.json": "{"})
    assert "\x1b" not in "".join(read(tmp_path, cells).skipped)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_gives_a_table_or_bad_data(pair, cells, data):
    path = pair / "wikitext2_logs.zip"
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(damaged))
    try:
        read(pair, cells)
    except BadData:
        pass
    finally:
        path.write_bytes(whole)


# --- the published table ---------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["log name", "loss", "Jacobian Cosine", "Layer 2 Hidden Covariance"])
def test_a_table_without_a_column(pair, cells, files, column):
    files.table(pair, [files.line(1)], without=column)
    fails(pair, cells, "RNN_results.csv", f"no column {column!r}")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00\x01", b"PK\x03\x04\x00"])
def test_a_table_that_is_none(pair, cells, content):
    (pair / "RNN_results.csv").write_bytes(content)
    fails(pair, cells, "RNN_results.csv")


def test_a_table_with_a_header_only(pair, cells, files):
    files.table(pair, [])
    fails(pair, cells, "the table has no lines")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"loss": "n/a"}, "loss is 'n/a', not a number"),
        ({"Jacobian Cosine": "0,5"}, "Jacobian Cosine is '0,5', not a number"),
        ({"log name": "model 8"}, "not the name of a log"),
        ({"log name": ""}, "not the name of a log"),
        ({"log name": "log_stats_model_7_again.json"}, "cell 7 comes a second time"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_is_used(tmp_path, cells, files, bad, why):
    files.table(tmp_path, [files.line(7), files.line(8, **bad), files.line(9)])
    table = read(tmp_path, cells)
    assert [row.key for row in table.rows] == ["7", "9"]
    assert any("line 3" in s and why in s for s in table.skipped)


@pytest.mark.parametrize("cell", ["nan", "inf", ""])
def test_a_value_that_is_not_finite_is_absent_and_named(tmp_path, cells, files, cell):
    files.table(tmp_path, [files.line(7, **{"Activation Distance": cell}), files.line(8, loss=cell)])
    table = read(tmp_path, cells)
    assert "activation_distance" not in table.rows[0].published
    assert len(table.rows[0].published) == 11
    assert table.rows[1].truth == {}
    assert any("line 2" in s and "Activation Distance" in s for s in table.skipped)


def test_a_table_cut_in_the_middle_of_a_line(tmp_path, cells, files):
    path = files.table(tmp_path, [files.line(7), files.line(8)])
    path.write_bytes(path.read_bytes()[:-20])
    table = read(tmp_path, cells)
    assert [row.key for row in table.rows] == ["7", "8"]
    assert any("line 3: no finite value, left out: " in s for s in table.skipped)


def test_a_byte_order_mark_does_no_harm(tmp_path, cells, files):
    path = files.table(tmp_path, [files.line(7)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read(tmp_path, cells).rows) == 1
