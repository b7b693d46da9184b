"""HW-GPT-Bench: what is read, from tiny files and, where they are there, from the published ones."""

import csv
from pathlib import Path

import pytest

import untrained as ut
from untrained.benchmarks import _data as store
from untrained.core import registry
from untrained.core.errors import BadData, UsageError

DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(
    not (DATA / "hw-gpt-bench").is_dir(), reason="the published data is not in ../shared/data"
)
SHAPE = {"embed_dim": "192", "n_layer": "2", "n_head": "4-12", "mlp_ratio": "2-4", "bias": "0"}
PPL = SHAPE | {"perplexity": "40.5", "accuracy": "0.36"}
HW = SHAPE | {
    "flops": "300",
    "macs": "150",
    "params": "20000000",
    "lat_ms_a100": "12.5",
    "lat_ms_helix_cpu": "5000",
    "energy_kwh_P100": "0.002",
    "mem_mib_a100": "150",
}


@pytest.fixture
def space():
    return ut.space("gpt_decoder")


def benchmark(name="hw_gpt_s"):
    return registry.get("benchmark", name)()


def write(folder, what, *rows, scale="s"):
    folder.mkdir(exist_ok=True)
    with (folder / f"gpt_{scale}_{what}.csv").open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)
    return folder


def test_the_two_files_are_joined_by_shape(tmp_path, space):
    write(tmp_path, "ppl", PPL, PPL | {"bias": "1"})
    write(tmp_path, "hw", HW | {"n_head": "8-8"}, HW)
    table = benchmark().read(tmp_path, space)
    assert table.skipped == ()
    assert [r.key for r in table.rows] == [
        "192 2 4-12 2-4 0",
        "192 2 4-12 2-4 1",
        "192 2 8-8 2-4 0",
    ]
    hardware = {
        "latency_a100": 12.5,
        "latency_helix_cpu": 5_000.0,
        "energy_p100": 0.002,
        "memory_a100": 150.0,
    }
    quality = {"perplexity": 40.5, "accuracy": 0.36}
    assert [r.truth for r in table.rows] == [quality | hardware, quality, hardware]
    assert table.rows[0].published == {"params": 2e7, "flops_batch": 300.0, "macs_batch": 150.0}


def test_units_and_directions():
    targets = {t.name: t for t in benchmark().targets}
    assert (targets["latency_a100"].unit, targets["latency_a100"].better) == ("ms", "lower")
    assert (targets["energy_h100"].unit, targets["memory_rtx2080"].unit) == ("kWh", "MiB")
    assert (targets["perplexity"].log, targets["perplexity"].gap) == (True, 0.01)
    assert targets["accuracy"].better == "higher"
    assert len([t for t in targets if t.startswith("latency")]) == 14


def test_one_of_the_files_is_enough_and_the_other_is_named(tmp_path, space):
    table = benchmark().read(write(tmp_path / "hw-gpt-bench", "ppl", PPL).parent, space)
    assert len(table.rows) == 1
    assert "gpt_s_hw.csv is not in" in table.skipped[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"n_head": "4,12"}, "n_head is '4,12'"),
        ({"n_head": "4"}, "heads needs 2 values"),
        ({"n_head": "4-0"}, "heads = 0"),
        ({"n_layer": "0"}, "layers = 0"),
        ({"mlp_ratio": "2-4-"}, "mlp_ratio is '2-4-'"),
        ({"embed_dim": "wide"}, "embed_dim is 'wide'"),
        ({"perplexity": "low"}, "perplexity is 'low', not a number"),
        ({"perplexity": "nan"}, "perplexity is 'nan'"),
        ({"perplexity": "0"}, "perplexity is 0"),
        ({"perplexity": "", "accuracy": ""}, "no measured value"),
        ({"bias": "0"}, "a second time"),
    ],
)
def test_a_broken_row_is_named_and_the_others_are_read(tmp_path, space, changed, said):
    table = benchmark().read(write(tmp_path, "ppl", PPL, PPL | changed), space)
    assert len(table.rows) == 1
    assert "line 3" in table.skipped[0]
    assert said in table.skipped[0]


def test_files_that_are_no_tables_are_refused(tmp_path, space):
    with pytest.raises(BadData, match=r"gpt_s_ppl\.csv or gpt_s_hw\.csv"):
        benchmark().read(tmp_path, space)
    path = tmp_path / "gpt_s_ppl.csv"
    path.write_bytes(b"")
    with pytest.raises(BadData, match="the file is empty"):
        benchmark().read(tmp_path, space)
    path.write_text("embed_dim,n_layer\n1,2\n")
    with pytest.raises(BadData, match="no column 'n_head', 'mlp_ratio', 'bias'"):
        benchmark().read(tmp_path, space)
    path.write_text("embed_dim,n_layer,n_head,mlp_ratio,bias\n192,1,4,2,0\n")
    with pytest.raises(BadData, match="no column 'perplexity'"):
        benchmark().read(tmp_path, space)
    path.write_text("embed_dim,n_layer,n_head,mlp_ratio,bias,perplexity\n")
    with pytest.raises(BadData, match="no lines"):
        benchmark().read(tmp_path, space)
    path.write_text("embed_dim,n_layer,n_head,mlp_ratio,bias,perplexity\n192,1,4,2,0,x\n")
    with pytest.raises(BadData, match="line 2: perplexity is 'x'"):
        benchmark().read(tmp_path, space)


def test_a_space_that_cannot_read_rows_is_refused(tmp_path):
    with pytest.raises(UsageError, match="from_hw_gpt"):
        benchmark().read(write(tmp_path, "ppl", PPL), object.__new__(type("Other", (), {"name": "other"})))


def test_get_says_that_there_is_nothing_to_download(tmp_path):
    with pytest.raises(BadData, match="cannot be downloaded"):
        store.get(type(benchmark()), tmp_path)


@needs_data
@pytest.mark.parametrize("name", ["hw_gpt_s", "hw_gpt_m"])
def test_the_files_at_hand_are_read_whole(name, space):
    table = benchmark(name).read(DATA, space)
    assert table.skipped == ()
    assert sum("perplexity" in r.truth for r in table.rows) == 2_500
    assert sum("latency_a100" in r.truth for r in table.rows) == 2_500
    assert all(r.architecture for r in table.rows)
