"""Our reading of the published training logs, against the numbers that their authors wrote down."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from untrained.spaces._cell_canonical import canonical
from untrained.spaces._cell_recipe import read
from untrained.spaces.rnn_cell import SCALES, RnnCell, cell_parameters

ARCHIVE = Path(__file__).parents[2].parent / "shared" / "data" / "nas-bench-nlp" / "wikitext2_logs.zip"
SPACE = RnnCell()


@pytest.fixture(scope="module")
def logs():
    if not ARCHIVE.exists():
        pytest.skip("the published NAS-Bench-NLP logs are not beside this checkout")
    with zipfile.ZipFile(ARCHIVE) as archive:
        return [json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")]


def test_every_published_cell_is_read_and_valid(logs):
    assert len(logs) == 153
    for log in logs:
        arch = SPACE.from_recipe(log["recepie"])
        SPACE.validate(arch)
        assert SPACE.from_recipe(SPACE.to_recipe(arch)) == arch


def test_there_are_125_distinct_cells(logs):
    assert len({SPACE.from_recipe(log["recepie"]).id for log in logs}) == 125


def test_canonical_form_keeps_every_published_node_and_state(logs):
    for log in logs:
        graph = read(log["recepie"])
        assert len(canonical(graph).nodes) == len(graph.nodes)
        assert len(canonical(graph).states) == len(graph.states)


def test_parameters_are_those_of_the_authors(logs):
    """33,278 words of WikiText-2; the published count includes the tied table once and the decoder's bias."""
    size = replace(SCALES["paper"], vocabulary=33_278)
    for log in logs:
        cell = cell_parameters(SPACE._graph(SPACE.from_recipe(log["recepie"])), size)
        assert cell + size.vocabulary * (size.embedding + 1) == log["num_params"]


def test_the_published_gru_is_our_gru(logs):
    """Recipe 1000002 is the authors' GRU; 1000000 their plain RNN."""
    found = {log["recepie_id"]: SPACE.from_recipe(log["recepie"]) for log in logs}
    assert found[1000002] == SPACE.classic("gru")
    assert found[1000000] == SPACE.classic("rnn")
