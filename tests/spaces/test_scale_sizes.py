"""Sizes behind a scale: what is counted is what is built."""

from random import Random

import pytest
import torch

from untrained.core.errors import UnknownName, UsageError
from untrained.spaces.bert_encoder import BertEncoder
from untrained.spaces.rnn_cell import RnnCell

SCALES = [
    (RnnCell, "paper:vocabulary=260,width=24,layers=2"),
    (RnnCell, "paper:vocabulary=50,layers=1"),
    (RnnCell, "probe:layers=4"),
    (BertEncoder, "paper:vocabulary=260"),
    (BertEncoder, "probe:vocabulary=300"),
]


@pytest.mark.parametrize(("made", "scale"), SCALES, ids=lambda x: getattr(x, "__name__", x))
def test_counts_are_those_of_the_built_network(made, scale):
    space = made()
    arch = space.sample(Random(0))
    model = space.build(arch, scale=scale, generator=torch.Generator().manual_seed(0))
    assert space.count(arch, scale=scale)["params"] == sum(p.numel() for p in model.parameters())
    shape = space.shape(scale)
    assert model.vocabulary == shape.vocabulary
    assert model(torch.zeros(1, 3, dtype=torch.long)).shape == (1, 3, shape.vocabulary)


def test_layers_and_width_of_cells_are_those_that_were_typed():
    space = RnnCell()
    model = space.build(RnnCell.classic("lstm"), scale="paper:width=24,layers=2,vocabulary=99")
    assert [layer.hidden for layer in model.layers] == [24, 24]
    assert model.embedding.shape == (99, 24)
    one = space.build(RnnCell.classic("lstm"), scale="paper:layers=2,vocabulary=99")
    assert [layer.hidden for layer in one.layers] == [600, 400]


@pytest.mark.parametrize(
    ("scale", "error", "said"),
    [
        ("papr", UnknownName, "Did you mean 'paper'"),
        ("paper:depth=2", UsageError, "has no size 'depth'; it has: vocabulary, width, layers"),
        ("paper:width=0", UsageError, "not a whole number of at least 1"),
        ("paper:width=1.5", UsageError, "not a whole number"),
        ("paper:width", UsageError, "write it as name=value"),
    ],
)
def test_wrong_sizes_are_told(scale, error, said):
    with pytest.raises(error, match=said):
        RnnCell().build(RnnCell.classic("rnn"), scale=scale)
