"""Features of untrained networks: against the proxies they share parts with, by hand, and where they lack."""

import math
from random import Random

import pytest
import torch

from untrained.apps.api import lab
from untrained.core.errors import MeasurementFailed
from untrained.core.metric import metric
from untrained.metrics import features as module
from untrained.metrics.features import DESCRIPTIONS, features
from untrained.nn.batch import Batch
from untrained.nn.probe import Probe
from untrained.nn.recurrent import from_torch
from untrained.spaces.rnn_cell import RnnCell
from untrained.testing import small_network

TRANSFORMER = {"attention_entropy", "ln_width", "ln_embedding_rank", "ln_reuse", "ln_spread", "ln_reach"}


@pytest.fixture(scope="module")
def lstm():
    place = lab("rnn_cell")
    return place.probe(RnnCell().classic("lstm"))


def test_a_cell_has_every_recurrent_column_in_order_and_no_other(lstm):
    found = features(lstm)
    assert list(found) == [name for name in DESCRIPTIONS if name in found]
    assert set(DESCRIPTIONS) - set(found) == TRANSFORMER | {"attention_entropy_spread", "attention_self"}
    assert all(math.isfinite(v) for v in found.values())


@pytest.mark.parametrize("name", ["bert_encoder", "gpt_decoder"])
def test_a_transformer_has_all_columns_but_gates(name):
    place = lab(name)
    found = features(place.probe(small_network(place.space)))
    assert set(DESCRIPTIONS) - set(found) == {"gates"}


def test_parts_that_proxies_show_are_the_same(lstm):
    found = features(lstm)
    parts = metric("fading_memory")(lstm).parts
    assert found["last_memory"] == parts["memory"]
    assert found["live"] == parts["live"]
    assert found["gates"] == 3.0
    assert found["first_memory"] == metric("layered_memory")(lstm).parts["first"]
    width = 64  # of the embedding, which lag0_gain multiplies with
    assert math.exp(found["ln_gain"]) * width**0.5 == pytest.approx(metric("lag0_gain")(lstm).value, rel=1e-6)
    assert math.exp(found["ln_params"]) == pytest.approx(metric("params")(_paper("lstm")).value)


def _paper(name):
    return lab("rnn_cell").probe(RnnCell().classic(name), "cost")


def test_shape_terms_make_up_rank_and_reuse():
    place = lab("gpt_decoder")
    arch = place.space.sample(Random(3))
    probe = place.probe(arch)
    found = features(probe)
    whole = found["ln_depth"] + found["ln_width"] + found["ln_embedding_rank"]
    whole += (found["ln_params_nonembedding"] + found["ln_reuse"]) / 4
    assert whole == pytest.approx(metric("rank_and_reuse")(probe).value)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others():
    place, arch = lab("rnn_cell"), RnnCell().classic("gru")
    first, again, other = (features(place.probe(arch, seed=s)) for s in (0, 0, 1))
    assert first == again
    assert first["last_ln_size"] != other["last_ln_size"]


def test_weights_gradients_and_global_luck_stay_as_they_were(lstm):
    before = {k: v.clone() for k, v in lstm.model.state_dict().items()}
    luck = torch.random.get_rng_state()
    features(lstm)
    assert torch.equal(luck, torch.random.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in lstm.model.state_dict().items())
    assert all(w.grad is None for w in lstm.model.parameters())


class Echo(torch.nn.Module):
    """One layer whose output is the embedding, of the sizes +-1: every statistic is known."""

    roles = ("block", "activation")
    vocabulary = 4

    def __init__(self, scale=1.0):
        super().__init__()
        self.table = torch.nn.Parameter(
            scale * torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        )
        self.matrix = torch.nn.Parameter(torch.eye(2))

    def embed(self, tokens):
        return self.table[tokens]

    def encode(self, embedded, tape=None):
        if tape is not None:
            tape.add("block", 0, embedded)
            tape.add("activation", 0, embedded.detach() / 2)
        return embedded @ self.matrix

    def saliency_weights(self):
        return [self.matrix]


def words(seed=0, sequences=16, length=25):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(4, (sequences, length), generator=generator)
    return Batch(tokens, tokens.roll(-1, 1))


def test_an_echo_has_the_values_that_paper_gives():
    found = features(Probe(Echo(), words()))
    assert found["ln_depth"] == 0.0
    assert found["last_ln_size"] == pytest.approx(0.0, abs=1e-9)
    assert found["last_ln_growth"] == pytest.approx(0.0, abs=1e-9)
    assert found["ln_gain"] == pytest.approx(0.0, abs=1e-6)
    assert found["last_memory_lag1"] == 0.0  # it remembers nothing
    assert found["last_memory_lag0"] == pytest.approx(math.log1p(1 / 0.03), abs=0.2)  # nearly all
    assert found["saturation"] == 0.0
    assert found["active"] == pytest.approx(0.5, abs=0.1)
    assert found["ln_gradient_lag1"] == pytest.approx(math.log(1e-12) - found["ln_gradient"])
    assert found["last_ln_rank"] == pytest.approx(math.log(2), abs=0.02)


def test_saturation_counts_what_is_above_nine_tenths():
    assert features(Probe(Echo(1.9), words()))["saturation"] == 1.0  # half of 1.9 is 0.95


def test_a_network_that_explodes_is_told():
    with pytest.raises(MeasurementFailed, match="explodes"):
        features(Probe(Echo(math.inf), words()))


def test_a_short_text_is_told():
    with pytest.raises(MeasurementFailed, match="needs at least 2 sequences of 25 words"):
        features(Probe(Echo(), words(length=24)))


def test_a_module_of_ones_own_has_features_too():
    model = from_torch(torch.nn.GRU(8, 8), vocabulary=4, generator=torch.Generator().manual_seed(0))
    found = features(Probe(model.eval(), words()))
    assert {"last_memory", "ln_params", "ln_gradient_lag8"} <= set(found)


def test_attention_to_all_alike_has_the_whole_entropy():
    causal = torch.tril(torch.ones(4, 4))
    alike = causal / causal.sum(-1, keepdim=True)
    entropy, own = module._heads(alike.expand(2, 3, 4, 4))
    assert entropy.tolist() == pytest.approx([1.0] * 3, abs=1e-9)
    assert own == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    sharp, own = module._heads(torch.eye(4).expand(2, 3, 4, 4))
    assert sharp.tolist() == pytest.approx([0.0] * 3, abs=1e-9)
    assert own == 1.0


def test_every_feature_is_described_in_one_line():
    assert all(text and "\n" not in text for text in DESCRIPTIONS.values())
