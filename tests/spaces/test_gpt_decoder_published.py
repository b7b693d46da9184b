"""gpt_decoder against the parameter counts of LiteTransformerSearch and HW-GPT-Bench, row by row."""

import csv
import json
from pathlib import Path

import pytest
import torch

from untrained.spaces.gpt_decoder import GptDecoder

DATA = Path(__file__).parents[2].parent / "shared" / "data"
LTS = sorted((DATA / "lts").glob("*.csv"))
HW = sorted((DATA / "hw-gpt-bench").glob("*_hw.csv"))
needs_lts = pytest.mark.skipif(not LTS, reason="the published data is not in ../shared/data")
needs_hw = pytest.mark.skipif(not HW, reason="the published data is not in ../shared/data")
COLUMNS = {
    "params_total": "params",
    "params_nonembedding": "params_nonembedding",
    "params_Attn": "params_attention",
    "params_FFN": "params_ffn",
    "params_AdaEmb": "params_embedding",
}


def lts_rows(path):
    numbers = ("n_layer", "d_model", "d_embed", "d_head", "div_val", "n_token", "tgt_len")
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            shape = {k: int(row[k]) for k in numbers}
            shape |= {k: json.loads(row[k]) for k in ("n_head", "d_inner", "cutoffs")}
            shape["model"] = "gpt2" if "GPT2" in path.name else "transformer_xl"
            yield row, GptDecoder().from_lts(shape)


@needs_lts
@pytest.mark.parametrize("path", LTS, ids=lambda p: p.stem)
def test_all_five_columns_of_every_row_are_exact(path):
    wrong, rows = [], 0
    for row, arch in lts_rows(path):
        rows += 1
        counts = GptDecoder().count(arch)
        wrong += [(row["name"], c) for c, name in COLUMNS.items() if counts[name] != int(row[c])]
    assert rows > 30
    assert not wrong


@needs_lts
@pytest.mark.parametrize("path", LTS, ids=lambda p: p.stem)
def test_the_true_network_has_as_many_weights_as_the_row_says(path):
    row, arch = min(lts_rows(path), key=lambda pair: int(pair[0]["params_total"]))
    net = GptDecoder().build(arch, generator=torch.Generator().manual_seed(0))
    assert sum(w.numel() for w in net.parameters()) == int(row["params_total"])


@needs_hw
@pytest.mark.parametrize("path", HW, ids=lambda p: p.stem)
def test_the_parameters_of_every_hw_gpt_row_are_exact(path):
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            shape = {k: int(row[k]) for k in ("embed_dim", "n_layer", "bias")}
            shape |= {k: [int(x) for x in row[k].split("-")] for k in ("n_head", "mlp_ratio")}
            arch = GptDecoder().from_hw_gpt(shape)
            assert GptDecoder().count(arch)["params"] == int(row["params"])
