"""zero_lm: on paper, against numpy's singular values, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from toy_networks import cell_model, luck, words

from untrained.core.errors import UsageError
from untrained.core.metric import Measurement, metric
from untrained.nn.probe import Probe
from untrained.nn.transformer import LayerShape, Transformer, TransformerShape
from untrained.spaces.rnn_cell import RnnCell

LAYER = LayerShape(heads=2, inner=(12,))
DECODER = TransformerShape(8, (LAYER, replace(LAYER, inner=(20, 9))), vocabulary=30, init="fan_in")
STATISTICS = ("nuclear", "log_nuclear", "frobenius", "spectral_entropy")


def found(model: nn.Module, **options: object) -> Measurement:
    return metric("zero_lm").with_options(**options)(Probe(model, words(2, 5, 30)))


class Layer(nn.Module):
    def __init__(self, mixer: torch.Tensor, ffn: torch.Tensor) -> None:
        super().__init__()
        self.mixer, self.ffn = nn.Linear(*mixer.T.shape), nn.Linear(*ffn.T.shape)
        self.mixer.weight.data, self.ffn.weight.data = mixer, ffn


class Paper(nn.Module):
    """One layer: attention is diag(3, 4), the feed-forward layer one row (0, 0, 2)."""

    roles = ()

    def __init__(self, mixer: torch.Tensor) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Layer(mixer, torch.tensor([[0.0, 0.0, 2.0]]))])

    def saliency_weights(self) -> list[nn.Parameter]:
        return [w for w in self.parameters() if w.dim() == 2]


@pytest.mark.parametrize(
    ("statistic", "attention", "feed_forward"),
    [
        ("nuclear", 7.0, 2.0),
        ("log_nuclear", math.log(7), math.log(2)),
        ("frobenius", 5.0, 2.0),
        ("spectral_entropy", -(3 / 7) * math.log(3 / 7) - (4 / 7) * math.log(4 / 7), 0.0),
    ],
)
def test_on_paper(statistic: str, attention: float, feed_forward: float) -> None:
    model = Paper(torch.diag(torch.tensor([3.0, 4.0])))
    m = found(model, statistic=statistic, balance=0.25)
    assert m.parts == pytest.approx({"attention": attention, "feed_forward": feed_forward}, abs=1e-7)
    assert m.value == pytest.approx(0.25 * attention + 0.75 * feed_forward, abs=1e-7)
    assert found(model, statistic=statistic, balance=1).value == pytest.approx(attention, abs=1e-7)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_it_is_what_numpy_gives_for_the_linear_maps_of_the_layers(statistic: str) -> None:
    model = Transformer(DECODER, luck(1))
    sums = {"mixer": 0.0, "ffn": 0.0}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name.startswith("blocks"):
            s = np.linalg.svd(module.weight.detach().double().numpy(), compute_uv=False)
            p = s / s.sum()
            sums[name.split(".")[2]] += {
                "nuclear": s.sum(),
                "log_nuclear": math.log(s.sum()),
                "frobenius": float(np.linalg.norm(module.weight.detach().double().numpy())),
                "spectral_entropy": -(p * np.log(p)).sum(),
            }[statistic]
    m = found(model, statistic=statistic, balance=0.3)
    assert sums["mixer"] != sums["ffn"]
    assert m.parts == pytest.approx({"attention": sums["mixer"], "feed_forward": sums["ffn"]}, rel=1e-6)
    assert m.value == pytest.approx(0.3 * sums["mixer"] + 0.7 * sums["ffn"], rel=1e-6)


def test_the_embedding_has_no_say() -> None:
    small, large = (Transformer(replace(DECODER, vocabulary=v), luck(1)) for v in (30, 300))
    large.blocks.load_state_dict(small.blocks.state_dict())
    assert found(small).value == found(large).value


def test_a_cell_says_why_it_has_no_such_score() -> None:
    m = found(cell_model(RnnCell().classic("lstm").cell, (8, 8)))
    assert not m.ok
    assert "does not say which weights attend" in m.reason


def test_a_matrix_of_zeros_is_a_failure_and_not_minus_infinity() -> None:
    m = found(Paper(torch.zeros(2, 2)), statistic="log_nuclear")
    assert not m.ok
    assert "0 throughout" in m.reason


@pytest.mark.parametrize(
    ("options", "said"),
    [({"statistic": "trace"}, "take one of: nuclear"), ({"balance": 1.5}, "from 0 to 1")],
)
def test_settings_that_are_not_there(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        found(Paper(torch.eye(2)), **options)
