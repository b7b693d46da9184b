"""Formulas on networks, and the two that LPZero published, each against a second way to the number."""

import math
from random import Random

import numpy as np
import pytest
import torch
from toy_networks import cell_model, luck, words

from untrained.core.errors import MeasurementFailed, UsageError
from untrained.core.formula import Formula, apply, canonical, const, read
from untrained.core.metric import metric
from untrained.metrics.formulas import GRID, echoes, grid, measurer, sheet, shown
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe
from untrained.nn.transformer import LayerShape, Transformer, TransformerShape

LAYER = LayerShape(heads=2, inner=(40,))
SHAPE = TransformerShape(32, (LAYER, LAYER, LayerShape(heads=4, inner=(48,))), vocabulary=30, init="fan_in")
MIXED = TransformerShape(
    32, (LAYER, LayerShape(heads=2, inner=(40,), mixer="dft")), vocabulary=30, causal=False, init="fan_in"
)
CELL = ((("linear", ("x", "h_prev_0")), ("activation_tanh", (0,))), (1,))


@pytest.fixture(autouse=True, scope="module")
def quiet():
    with quiet_numbers():
        yield


def probed(shape=SHAPE, seed=1):
    return Probe(Transformer(shape, luck(seed)), words(8, 16, 30, seed=2), seed=seed)


def mean_square(name):
    return apply("layer_mean", apply("mean", apply("square", read(name))))


# --- what formulas see -----------------------------------------------------------------------------


def test_a_grid_takes_tensors_in_turn_and_rows_that_are_spread():
    whole = torch.arange(64 * 64).reshape(64, 64).float()
    seen = grid([whole])
    assert seen.shape == (GRID, GRID)
    rows = seen[:, 0] // 64
    assert len(set(rows.tolist())) == GRID, "a row is read twice"
    assert np.histogram(rows, bins=4, range=(0, 64))[0].min() >= 7
    assert np.array_equal(seen[0] % 64, np.arange(1, 64, 2))
    two = grid([torch.zeros(5, 3), torch.ones(2, 7, 9)])
    assert two[: GRID // 2].max() == 0
    assert two[GRID // 2 :].min() == 1


def test_inputs_are_what_hooks_see():
    probe = probed()
    seen, model = shown(probe), probe.model
    kept = {}
    for i, block in enumerate(model.blocks):
        block.register_forward_hook(lambda m, given, out, i=i: kept.update({("block", i): out.detach()}))
        block.mixer.register_forward_hook(lambda m, given, out, i=i: kept.update({("mix", i): out.detach()}))
        block.ffn.down.register_forward_hook(
            lambda m, given, out, i=i: kept.update({("act", i): given[0].detach()})
        )
    model.encode(model.embed(probe.batch.tokens))
    for name in ("block", "mix", "act"):
        wanted = [grid([kept[name, i]]) for i in range(3)]
        assert np.allclose(seen.matrices[name], wanted, atol=1e-6), name
    weights = dict(model.named_parameters())
    own = [w for n, w in weights.items() if n.startswith("blocks.1.") and w.dim() == 2]
    assert np.array_equal(seen.matrices["W"][1], grid(own))
    assert seen.scalars["ln_L"] == math.log(3)
    assert seen.scalars["ln_d"] == math.log(32)


def test_echoes_in_loops():
    """Each sequence by itself, with the neighbour's word at a quarter of the text."""
    probe = probed()
    model, tokens = probe.model, probe.batch.tokens
    count, length = tokens.shape
    place = length // 4

    def tops(ids):
        kept = []
        hooks = [b.register_forward_hook(lambda m, given, out: kept.append(out[0])) for b in model.blocks]
        with torch.no_grad():
            model.encode(model.embed(ids[None]))
        for hook in hooks:
            hook.remove()
        return torch.stack(kept).double()

    old, new = [], []
    for b in range(count):
        other = tokens[b].clone()
        other[place] = tokens[b - 1, place]
        old.append(tops(tokens[b]))
        new.append(tops(other))
    found = echoes(probe, [written[-1] for written in probe.taps("block")])
    for layer in range(3):
        for t in range(place, length):
            pairs = [
                (old[i][layer, t] - old[j][layer, t]).square().sum()
                for i in range(count)
                for j in range(count)
            ]
            apart = sum(pairs) / count**2
            for b in (0, 3):
                moved = (new[b][layer, t] - old[b][layer, t]).square().sum()
                assert float(found[layer][b, t - place]) == pytest.approx(
                    float(moved / apart), rel=1e-3, abs=1e-9
                )


def test_a_batch_of_one_has_no_echo():
    probe = Probe(Transformer(SHAPE, luck(1)), words(1, 16, 30))
    assert not shown(probe, ("echo", "block")).matrices["echo"].any()


def test_what_some_layers_lack_is_not_an_input():
    assert "att" in shown(probed()).matrices
    assert "att" not in shown(probed(MIXED)).matrices
    found = measurer(Formula(mean_square("att")))
    with pytest.raises(MeasurementFailed, match="reads att"):
        found(probed(MIXED))


def test_a_cell_shows_states_and_activations_and_no_attention():
    probe = Probe(cell_model(CELL, (8, 8, 8)), words(5, 6, 30))
    assert shown(probe).matrices.keys() == {"act", "hid", "block", "echo", "W", "G"}


def test_one_network_scores_the_same_alone_and_among_others():
    node = canonical(apply("add", mean_square("act"), apply("mul", const(0.3), read("ln_N"))))
    probes = [probed(seed=s) for s in (1, 2)]
    together = sheet([shown(p) for p in probes]).value(node)
    alone = [measurer(Formula(node))(probed(seed=s)) for s in (1, 2)]
    assert together == pytest.approx(alone, rel=1e-12)


# --- as proxies ------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "found.json"
    file.write_text(Formula(mean_square("block")).to_json())
    return str(file)


def test_a_file_is_a_metric(path):
    found = metric(path)
    assert found.label == path
    assert found.card["Formula"] == "mean_l(mean(block_l^2))"
    probe = probed()
    wanted = np.square(shown(probe).matrices["block"].astype(float)).mean((1, 2)).mean()
    assert found(probe).value == pytest.approx(wanted, rel=1e-6)
    assert metric(found.label)(probed()).value == found(probed()).value


def test_a_file_that_is_not_there_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        metric(str(tmp_path / "none.json"))


def test_an_exploding_network_has_no_score_and_a_reason(path):
    probe = probed()
    with torch.no_grad():
        probe.model.blocks[1].ffn.down.weight.fill_(math.inf)
    assert "explodes" in metric(path)(probe).reason


# --- LPZero's ------------------------------------------------------------------------------------


def test_lpzero_bert_is_the_mean_square_that_hooks_see():
    probe = probed()
    found, outs = metric("lpzero_bert")(probe), []
    for block in probe.model.blocks:
        block.mixer.register_forward_hook(lambda m, given, out: outs.append(out.detach().double().numpy()))
    probe.model.encode(probe.model.embed(probe.batch.tokens))
    assert found.value == pytest.approx(sum(float((o**2).mean()) for o in outs) / 3, rel=1e-6)
    assert found.parts["layer2"] == pytest.approx(float((outs[1] ** 2).mean()), rel=1e-6)


def test_lpzero_bert_is_what_their_formula_gives():
    """negate, square | Frobenius, log-softmax, joined by a sum, layer by layer."""
    probe = probed()
    mixes = [t[0].detach().double() for t in probe.taps("mix")]
    acts = [t[0].detach().double() for t in probe.taps("ffn")]
    theirs = [
        float((-m).square().mean()) + float(torch.log_softmax(a.norm()[None], 0).mean())
        for m, a in zip(mixes, acts, strict=True)
    ]
    assert metric("lpzero_bert")(probe).value == pytest.approx(sum(theirs) / len(theirs), rel=1e-9)


@pytest.mark.parametrize("kind", ["transformer", "cell"])
def test_lpzero_gpt2_in_loops(kind):
    probe = probed() if kind == "transformer" else Probe(cell_model(CELL, (6, 7, 6)), words(5, 6, 30))
    total = 0.0
    for w, g in zip(probe.weights(), probe.loss_gradients(), strict=True):
        w, g = w.detach().double().numpy(), g.double().numpy()
        if kind == "cell":
            g = g.T  # ours are (in, out)
        soft = [[math.exp(x) / sum(math.exp(y) for y in g[:, c]) for c, x in enumerate(row)] for row in g]
        total += (w**2).mean() + (np.array(soft) ** 2).mean()
    found = metric("lpzero_gpt2")(probe)
    assert found.value == pytest.approx(total / len(probe.weights()), rel=1e-6)
    assert found.value == pytest.approx(found.parts["weights"] + found.parts["gradients"])


def test_random_formulas_are_finite_or_fail_with_a_reason():
    from untrained.apps._breeding import grown

    probe, ok = probed(), 0
    for seed in range(60):
        node = canonical(grown("net", ("act", "W", "mix", "ln_N"), Random(seed)))
        if node.level == "net" and node.inputs:
            value = measurer(Formula(node))(probe)
            ok += math.isfinite(value)
    assert ok > 30
