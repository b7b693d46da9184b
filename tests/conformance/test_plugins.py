"""Every plug-in is tested because its file exists."""

from collections.abc import Iterator
from random import Random

import pytest
import torch

from untrained import testing
from untrained.core import registry
from untrained.core.metric import proxy
from untrained.core.space import Space, choice
from untrained.spaces.gpt_decoder import GptDecoder


class Toy(Space):
    """A declared space; what strategies search here."""

    name = "toy"
    layers = choice(2, 3, 4)
    width = choice(16, 32, 64)
    kind = choice("a", "b", "c", per="layers")

    def build(self, arch, *, scale="paper", generator=None):
        return torch.nn.Identity()


LEARNED = GptDecoder.of(width=64, heads=[4, 2], inner=[96, 80], vocabulary=2_000, context=64)
NETWORKS = {"gpt_decoder": LEARNED}  # where the smallest of some samples will not do: dss needs positions
EXTRAS = {"random_forest": "sklearn", "xgboost": "xgboost"}
KIND = {
    "rnn_cell": "recurrent",
    "bert_encoder": "transformer",
    "gpt_decoder": "transformer",
    "llm_subnet": "transformer",
}


@pytest.mark.parametrize("space", registry.names("space"))
@pytest.mark.parametrize("name", registry.names("proxy"))
def test_proxy(name, space):
    found = testing.check_proxy(name, space, NETWORKS.get(space))
    if not found.ok:
        card = registry.get("proxy", name).card
        said = " ".join(card.get(part, "") for part in ("Summary", "Differs", "Worth")).lower()
        assert KIND[space] in said, f"the card does not say that it fails on {space}: {found.reason}"


@pytest.mark.parametrize("space", registry.names("space"))
def test_proxies_share_passes_without_changing_each_other(space):
    testing.check_sharing(space, NETWORKS.get(space))


@pytest.mark.parametrize("name", registry.names("cost"))
def test_cost(name):
    testing.check_cost(name)


@pytest.mark.parametrize("kind", ["proxy", "cost"])
def test_what_a_file_declares_is_what_its_metric_says(kind):
    said = {name: registry.declared(kind, name) for name in registry.files(kind)}
    assert len(said) > 3
    for name, words in said.items():
        made = registry.get(kind, name)
        assert made.unit == words.get("unit", ""), name
        assert made.better == words.get("better", "higher" if kind == "proxy" else "lower"), name


@pytest.mark.parametrize("name", registry.names("predictor"))
def test_predictor(name):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    testing.check_predictor(name)


@pytest.mark.parametrize("name", registry.names("space"))
def test_space(name):
    testing.check_space(name)


@pytest.mark.parametrize("name", registry.names("strategy"))
def test_strategy_on_a_declared_space(name):
    testing.check_strategy(name, Toy())


@pytest.mark.parametrize("name", registry.names("strategy"))
def test_strategy_on_every_space_of_ours(name):
    for space in registry.names("space"):
        testing.check_strategy(name, registry.get("space", space)())


@pytest.mark.parametrize("name", registry.names("benchmark"))
def test_benchmark(name):
    testing.check_benchmark(name)


# --- the suite itself: each planted fault is found ---------------------------------------------------


@pytest.fixture
def planted() -> Iterator[None]:
    before = set(registry.names("proxy"))
    yield
    for name in set(registry.names("proxy")) - before:
        registry.forget("proxy", name)


CARD = """One sentence.

    Formula: none
    Shapes:  none
    Cost:    none
    Source:  none
    """


def _leaves_gradients(probe):
    out = probe.model(probe.batch.tokens[:1, :2])
    out.sum().backward()
    return 1.0


def _writes_weights(probe):
    with torch.no_grad():
        next(probe.model.parameters()).add_(1.0)
    return 1.0


def _uses_global_luck(probe):
    return float(torch.rand(()))


LUCK = Random(0)


def _has_own_luck(probe):
    return LUCK.random()


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (_leaves_gradients, "gradients behind"),
        (_writes_weights, "changes the weights"),
        (_uses_global_luck, "global generator"),
        (_has_own_luck, "two measurements differ"),
    ],
)
def test_a_planted_fault_is_found(fault, word):
    fault.__doc__ = CARD
    made = proxy()(fault)
    with pytest.raises(AssertionError, match=word):
        testing.check_proxy(made.name)


def _eats_what_others_share(probe):
    probe.forward().output.mul_(2.0)
    return 1.0


@pytest.mark.usefixtures("planted")
def test_a_proxy_that_spoils_a_shared_pass_is_found():
    _eats_what_others_share.__doc__ = CARD
    made = proxy()(_eats_what_others_share)
    with pytest.raises(AssertionError, match=r"zen on rnn_cell.* beside the others"):
        testing.check_sharing("rnn_cell", among=[made.name, "zen"])


@pytest.mark.usefixtures("planted")
def test_a_proxy_without_a_card_is_found():
    def no_card(probe):
        """Only a sentence."""
        return 1.0

    made = proxy()(no_card)
    with pytest.raises(AssertionError, match="lacks Formula, Shapes, Cost, Source"):
        testing.check_proxy(made.name)
