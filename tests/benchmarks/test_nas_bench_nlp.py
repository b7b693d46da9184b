"""NAS-Bench-NLP: what is read, from tiny files and, where it is there, from the published data."""

import inspect
from pathlib import Path

import pytest

from untrained.benchmarks.nas_bench_nlp import NasBenchNlp
from untrained.core import registry
from untrained.core.errors import UnknownName, UsageError

DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(
    not (DATA / "nas-bench-nlp").is_dir(), reason="the published data is not in ../shared/data"
)


def read(folder, space):
    return NasBenchNlp().read(folder, space)


def test_it_is_registered_and_its_card_is_complete():
    assert registry.get("benchmark", "nas_bench_nlp") is NasBenchNlp
    card = inspect.getdoc(NasBenchNlp)
    assert all(f"\n{section}:" in card for section in ("Source", "Licence", "Rows", "Bytes"))
    assert all(len(file.sha256) == 64 and file.url.startswith("https://") for file in NasBenchNlp.files)


def test_truth_is_the_best_validation_loss_and_the_test_loss_of_that_epoch(pair, cells):
    first = read(pair, cells).rows[0]
    # Epoch 2 has the best validation loss, 5.0; the smaller test loss 4.8 of epoch 3 is not for us to pick.
    assert first.truth == {"wikitext2_val_loss": 5.0, "wikitext2_test_loss": 4.9, "ptb_test_loss": 5.1}
    assert first.architecture == cells.from_recipe({"f": 0, "h_new_0": 0})


def test_logs_come_first_then_cells_without_a_recipe(pair, cells):
    table = read(pair, cells)
    assert [row.key for row in table.rows] == ["7", "8", "9", "1000"]
    assert [row.architecture is None for row in table.rows] == [False, False, False, True]
    assert [row.truth.get("ptb_test_loss") for row in table.rows] == [5.1, 5.2, None, 5.3]
    assert table.rows[2].published == {}
    assert table.rows[3].published.keys() == set(NasBenchNlp.published_names)
    assert (table.skipped, table.notes) == ((), ())


def test_published_values_keep_their_columns(pair, cells):
    published = read(pair, cells).rows[0].published
    assert list(published) == list(NasBenchNlp.published_names)
    assert list(published.values()) == [float(i) for i in range(12)]
    assert published["activation_distance"] == 0.0
    assert published["hidden_covariance.layer1"] == 9.0


def test_published_names_have_a_short_form_and_near_names():
    assert NasBenchNlp.published_name("hidden_covariance") == "hidden_covariance.layer1"
    assert NasBenchNlp.published_name("jacobian_cosine") == "jacobian_cosine"
    with pytest.raises(UnknownName, match="jacobian_cosine"):
        NasBenchNlp.published_name("jacobian_cosin")


def test_names_in_the_archive_may_have_folders(tmp_path, cells, files):
    name = files.log_name(7)
    files.archive(
        tmp_path, {f"a/b/{name}": files.log(7), f"__MACOSX/a/._{name}": b"\0", "a/readme.txt": "hi"}
    )
    table = read(tmp_path, cells)
    assert [row.key for row in table.rows] == ["7"]
    assert len(table.skipped) == 1  # the CSV is not there


def test_the_id_comes_from_the_name_where_the_log_has_none(tmp_path, cells, files):
    logs = {files.log_name(7): files.log(recepie_id=None), "other.json": files.log(recepie_id=None)}
    files.archive(tmp_path, logs)
    files.table(tmp_path, [files.line(7, 5.1)])
    rows = read(tmp_path, cells).rows
    assert [(row.key, row.truth.get("ptb_test_loss")) for row in rows] == [("7", 5.1), ("other", None)]


def test_two_logs_of_one_recipe_are_two_rows_with_their_own_keys(tmp_path, cells, files):
    files.archive(tmp_path, {"a.json": files.log(7), "b.json": files.log(7)})
    files.table(tmp_path, [files.line(7, 5.1)])
    rows = read(tmp_path, cells).rows
    assert [row.key for row in rows] == ["7", "b"]
    assert [row.truth["ptb_test_loss"] for row in rows] == [5.1, 5.1]


def test_the_recipe_may_be_an_object(tmp_path, cells, files):
    files.archive(tmp_path, {"a.json": files.log(7, recepie={"h_new_0": {}})})
    assert read(tmp_path, cells).rows[0].architecture is not None


def test_the_parent_folder_will_do(tmp_path, cells, files):
    (tmp_path / "nas-bench-nlp").mkdir()
    files.table(tmp_path / "nas-bench-nlp", [files.line(1)])
    assert len(read(tmp_path, cells).rows) == 1


def test_a_space_that_cannot_read_recipes_is_refused(pair):
    with pytest.raises(UsageError, match="from_recipe"):
        read(pair, object.__new__(type("Other", (), {"name": "other"})))


def test_with_the_real_space_equal_cells_are_equal_values(tmp_path, files):
    space = registry.get("space", "rnn_cell")()
    renamed = {
        "h_new_0": {"op": "activation_tanh", "input": ["other"]},
        "other": {"op": "linear", "input": ["h_prev_0", "x"]},
    }
    files.archive(tmp_path, {"a.json": files.log(7), "b.json": files.log(8, recepie=renamed)})
    one, two = read(tmp_path, space).rows
    assert one.architecture.id == two.architecture.id


@needs_data
def test_the_data_at_hand_is_read_whole():
    table = read(DATA, registry.get("space", "rnn_cell")())
    cells = [row for row in table.rows if row.architecture]
    good = [row for row in cells if "wikitext2_val_loss" in row.truth]
    keys = [row.key for row in table.rows]
    assert len(keys) == len(set(keys))
    assert all("loss is nan" in sentence for sentence in table.skipped)  # no log is broken
    assert len(good) + len(table.skipped) == len(cells)
    assert all(3 < loss < 12 for row in table.rows for loss in row.truth.values())
    assert len(set(keys)) > 20 * len(cells)  # thousands with published values only


@needs_data
def test_the_published_signed_table_comes_out():
    """Kendall tau with the negated PTB loss: reference table of all 8,794 cells, here of a part of them."""
    stats = pytest.importorskip("scipy.stats")
    rows = [r for r in read(DATA, registry.get("space", "rnn_cell")()).rows if r.published]
    quality = [-row.truth["ptb_test_loss"] for row in rows]
    reference = {
        "hidden_covariance": 0.372,
        "hidden_covariance.layer2": 0.314,
        "hidden_covariance.layer3": 0.247,
        "more_noised_jacobian_cosine": 0.280,
        "jacobian_cosine": 0.264,
        "activation_distance": 0.223,
        "jacobian_covariance": 0.003,
        "large_noise_jacobian_covariance": -0.259,
        "large_noise_jacobian_cosine": -0.273,
        "more_noised_jacobian_covariance": -0.273,
        "hidden_synaptic_saliency": -0.268,
        "synaptic_saliency": -0.122,
    }
    for name, expected in reference.items():
        column = NasBenchNlp.published_name(name)
        tau = stats.kendalltau([row.published[column] for row in rows], quality).statistic
        assert tau == pytest.approx(expected, abs=0.02), name
