"""LiteTransformerSearch: what is read, from tiny files and, where they are there, from the published sets."""

import csv
from pathlib import Path

import pytest

import untrained as ut
from untrained.benchmarks import _data as store
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.errors import BadData, UsageError

DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(
    not (DATA / "lts").is_dir(), reason="the published data is not in ../shared/data"
)
NAMES = [n for n in registry.names("benchmark") if n.startswith("lts_")]
GOOD = {
    "name": "config_0_j1",
    "valid_ppl": "43.5",
    "test_ppl": "44.5",
    "params_Attn": "33280",
    "params_FFN": "259805",
    "n_layer": "2",
    "d_model": "64",
    "d_embed": "128",
    "n_head": "[4, 2]",
    "d_inner": "[1313, 700]",
    "d_head": "-1",
    "div_val": "4",
    "n_token": "50264",
    "cutoffs": "[19997, 39997, 199997, 50264]",
    "tgt_len": "192",
}


@pytest.fixture
def space():
    return ut.space("gpt_decoder")


def benchmark(name="lts_gpt2_wt103"):
    return registry.get("benchmark", name)()


def write(folder, *rows, name="random_GPT2_wt103.csv", without=()):
    folder.mkdir(exist_ok=True)
    columns = [c for c in {k: 0 for row in rows or (GOOD,) for k in row} if c not in without]
    with (folder / name).open("w", newline="") as file:
        out = csv.DictWriter(file, columns, extrasaction="ignore")
        out.writeheader()
        out.writerows(rows)
    return folder


def test_there_are_five_sets():
    assert NAMES == [
        "lts_gpt2_lm1b",
        "lts_gpt2_wt103",
        "lts_transformer_xl_lm1b",
        "lts_transformer_xl_wt103",
        "lts_transformer_xl_wt103_homogeneous",
    ]


def test_a_row_becomes_an_architecture_its_truths_and_its_counts(tmp_path, space):
    table = benchmark().read(write(tmp_path, GOOD), space)
    (row,) = table.rows
    assert row.key == "config_0_j1"
    assert row.truth == {"valid_ppl": 43.5, "test_ppl": 44.5}
    assert row.published == {"params_attention": 33_280, "params_ffn": 259_805}
    assert (row.architecture.width, row.architecture.inner) == (64, (1_313, 700))
    assert (table.skipped, table.notes) == ((), ())


def test_log_perplexities_are_compared():
    target = benchmark().targets[0]
    assert (target.name, target.unit, target.better, target.log, target.gap) == (
        "valid_ppl",
        "perplexity",
        "lower",
        True,
        0.01,
    )


@pytest.mark.parametrize("ppl", ["ppl", "test_ppl"])
def test_one_perplexity_is_enough(tmp_path, space, ppl):
    bare = {k: v for k, v in GOOD.items() if k not in ("valid_ppl", "test_ppl", "d_head", "name")}
    table = benchmark().read(write(tmp_path, bare | {ppl: "50"}, without=("params_FFN",)), space)
    assert table.rows[0].truth == {ppl: 50.0}
    assert table.rows[0].key == "line 2"


def test_counts_that_are_not_those_of_the_shape_are_noted(tmp_path, space):
    table = benchmark().read(write(tmp_path, GOOD | {"params_FFN": "1000"}), space)
    assert len(table.rows) == 1
    assert table.notes == (
        "random_GPT2_wt103.csv: config_0_j1: params_ffn is 1,000, and its shape gives 259,805",
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"valid_ppl": "good"}, "valid_ppl is 'good', not a number"),
        ({"valid_ppl": "nan"}, "valid_ppl is 'nan'"),
        ({"valid_ppl": "inf"}, "valid_ppl is 'inf'"),
        ({"valid_ppl": "0.5"}, "a number of at least 1"),
        ({"valid_ppl": "", "test_ppl": ""}, "it has no perplexity"),
        ({"n_layer": "two"}, "n_layer is 'two', not a whole number"),
        ({"n_layer": ""}, "n_layer is ''"),
        ({"n_layer": "3"}, "heads needs 3 values"),
        ({"n_layer": "0", "n_head": "[]", "d_inner": "[]"}, "layers = 0"),
        ({"n_head": "4; 2"}, "n_head is '4; 2', not a list"),
        ({"d_inner": "[1313, 7.5]"}, "not a list of whole numbers"),
        ({"d_inner": "[1313, 0]"}, "layer 2: inner = 0"),
        ({"cutoffs": "19997"}, "cutoffs is '19997', not a list"),
        ({"div_val": "0"}, "div_val = 0"),
    ],
)
def test_a_broken_row_is_named_and_the_others_are_read(tmp_path, space, changed, said):
    bad = GOOD | {"name": "config_0_j2"} | changed
    table = benchmark().read(write(tmp_path, GOOD, bad), space)
    assert [r.key for r in table.rows] == ["config_0_j1"]
    assert len(table.skipped) == 1
    assert said in table.skipped[0]
    assert "line 3 (config_0_j2)" in table.skipped[0]


def test_a_line_that_is_cut_off_is_named(tmp_path, space):
    path = write(tmp_path, GOOD) / "random_GPT2_wt103.csv"
    path.write_text(path.read_text() + "config_0_j3,43.0\n")
    table = benchmark().read(tmp_path, space)
    assert len(table.rows) == 1
    assert "line 3 (config_0_j3)" in table.skipped[0]


def test_equal_names_stay_apart(tmp_path, space):
    rows = benchmark().read(write(tmp_path, GOOD, GOOD), space).rows
    assert [r.key for r in rows] == ["config_0_j1", "config_0_j1 (line 3)"]


@pytest.mark.parametrize("column", ["d_model", "cutoffs"])
def test_a_missing_column_is_named(tmp_path, space, column):
    with pytest.raises(BadData, match=f"no column '{column}'"):
        benchmark().read(write(tmp_path, GOOD, without=(column,)), space)


def test_a_table_without_perplexity_is_refused(tmp_path, space):
    with pytest.raises(BadData, match="no column 'valid_ppl', 'test_ppl', 'ppl'"):
        benchmark().read(write(tmp_path, GOOD, without=("valid_ppl", "test_ppl")), space)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\xff\xfe\x00", "not a readable table"),
        (b"name\n", "no column"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, space, content, said):
    (tmp_path / "random_GPT2_wt103.csv").write_bytes(content)
    with pytest.raises(BadData, match=said):
        benchmark().read(tmp_path, space)


def test_a_table_with_no_good_line_is_refused(tmp_path, space):
    with pytest.raises(BadData, match="the table has no lines"):
        benchmark().read(write(tmp_path), space)
    with pytest.raises(BadData, match="line 2"):
        benchmark().read(write(tmp_path, GOOD | {"d_model": "wide"}), space)


def test_a_missing_file_is_named_with_where_it_was_sought(tmp_path, space):
    with pytest.raises(BadData, match=r"random_GPT2_wt103\.csv") as error:
        benchmark().read(tmp_path, space)
    assert "--data DIR" in str(error.value)


def test_a_space_that_cannot_read_rows_is_refused(tmp_path):
    with pytest.raises(UsageError, match="from_lts"):
        benchmark().read(write(tmp_path, GOOD), object.__new__(type("Other", (), {"name": "other"})))


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("random_gpt2_wt103.csv", "lts_gpt2_wt103"),
        ("gpt2-wikitext103-random.csv", "lts_gpt2_wt103"),
        ("random_TransXL_lm1b.csv", "lts_transformer_xl_lm1b"),
        ("random_transformer_xl_wt103.csv", "lts_transformer_xl_wt103"),
        ("homogeneous_TransXL_wt103.csv", "lts_transformer_xl_wt103_homogeneous"),
        ("random_TransXL_wt103_homog.csv", "lts_transformer_xl_wt103_homogeneous"),
        ("pareto_GPT2_lm1b_arm.csv", None),
    ],
)
def test_close_spellings_of_a_name_are_found_and_other_sets_are_not(tmp_path, space, spelling, name):
    write(tmp_path / "lts", GOOD, name=spelling)
    found = [n for n in NAMES if benchmark(n).find(tmp_path, benchmark(n).files[0].name)]
    assert found == ([] if name is None else [name])
    if name:
        here = store.folder(type(benchmark(name)), tmp_path)
        assert len(benchmark(name).read(here, space).rows) == 1


def test_two_close_spellings_are_none(tmp_path):
    for spelling in ("random_gpt2_wt103.csv", "gpt2_wt103.csv"):
        write(tmp_path, GOOD, name=spelling)
    assert benchmark().find(tmp_path, "random_GPT2_wt103.csv") is None


def test_get_says_that_there_is_nothing_to_download(tmp_path):
    with pytest.raises(BadData, match="cannot be downloaded") as error:
        store.get(type(benchmark()), tmp_path)
    assert "github.com/microsoft/archai" in str(error.value)
    write(tmp_path, GOOD)
    assert store.get(type(benchmark()), tmp_path) == [tmp_path / "random_GPT2_wt103.csv"]
    (check,) = store.verify(type(benchmark()), tmp_path)
    assert (check.status, len(check.sha256)) == ("unchecked", 64)


@needs_data
@pytest.mark.parametrize("name", NAMES)
def test_the_sets_at_hand_are_read_whole_and_every_count_is_right(name, space):
    found = benchmark(name).find(DATA, benchmark(name).files[0].name)
    if found is None:
        pytest.skip(f"{name} is not in ../shared/data")
    table = benchmark(name).read(DATA, space)
    with found.open() as file:
        assert len(table.rows) == sum(1 for _ in csv.DictReader(file)) > 0
    assert (table.skipped, table.notes) == ((), ())
    assert all(len(r.published) == 5 for r in table.rows)
    assert all(isinstance(r.architecture, Architecture) and r.truth for r in table.rows)


@needs_data
def test_the_sizes_order_gpt2_on_wikitext_as_measured_before():
    found = ut.correlate("lts_gpt2_wt103", "params_nonembedding", data=DATA, workers=1)
    record = {r["proxy"]: r for r in found.records if r["target"] == "valid_ppl"}
    assert record["params_nonembedding"]["tau"] == pytest.approx(0.85, abs=0.04)
    assert record["params_attention"]["tau"] == pytest.approx(0.88, abs=0.04)
    assert record["layers_then_width"]["tau"] < 0.5
