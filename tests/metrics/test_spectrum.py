"""The two scores of rows, against numpy and against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from judges import NULL, cosscore_of, eigscore_of, worth
from toy_networks import Remembered, torch_probe, words

from untrained.core.metric import metric
from untrained.metrics._spectrum import correlation, cosscore, eigscore
from untrained.nn.probe import Probe

light = settings(max_examples=20, deadline=None)


def rows(seed, n, samples):
    """Rows of very different size, each around a mean of its own."""
    rng = np.random.default_rng(seed)
    size = 10.0 ** rng.integers(-6, 6, size=(n, 1))
    return size * (rng.normal(size=(n, samples)) + rng.normal(size=(n, 1)))


@light
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(12, 40))
def test_eigscore_is_numpys(seed, n, samples):
    matrix = rows(seed, n, samples)
    assert eigscore(torch.tensor(matrix)) == pytest.approx(eigscore_of(matrix), rel=1e-8)
    assert eigscore(torch.tensor(matrix)) <= -n


@light
@given(st.integers(0, 10**6), st.integers(4, 9), st.integers(1, 3))
def test_each_missing_direction_costs_one_null_eigenvalue(seed, n, rank):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, 40))
    found = eigscore(torch.tensor(matrix))
    assert found == pytest.approx(eigscore_of(matrix), rel=1e-6)
    assert round(found / NULL) == n - rank


@light
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(-1e3, 1e3))
def test_a_dead_row_is_a_null_direction_and_changes_nothing_else(seed, dead, constant):
    live = rows(seed, 4, 30)
    both = np.concatenate([live, np.full((dead, 30), constant)])
    expected = eigscore_of(live) + dead * NULL
    assert eigscore(torch.tensor(both)) == pytest.approx(expected, rel=1e-9)
    assert eigscore(torch.tensor(both[::-1].copy())) == pytest.approx(expected, rel=1e-9)
    small = correlation(torch.tensor(both)).numpy()
    np.testing.assert_allclose(small[:4, :4], np.corrcoef(live), atol=1e-10)
    assert not small[4:].any()
    assert not small[:, 4:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_that_moves_a_little_around_a_large_value_is_alive(dtype):
    wave = torch.sin(torch.arange(200, dtype=torch.float64))
    other = torch.cos(torch.arange(200, dtype=torch.float64))
    quiet = torch.stack([1000 + 1e-2 * wave, other]).to(dtype)
    loud = torch.stack([wave, other]).to(dtype)
    torch.testing.assert_close(correlation(quiet), correlation(loud), atol=1e-2, rtol=0)


def test_constants_that_rounding_smears_are_still_dead():
    for constant in (0.1, 1 / 3, 1e-30, 123.456):
        same = torch.full((1, 3_500), constant)
        live = torch.randn(1, 3_500, generator=torch.Generator().manual_seed(0))
        assert float(correlation(torch.cat([same, live]))[0].abs().max()) == 0.0


@light
@given(st.integers(0, 10**6), st.integers(2, 7), st.integers(2, 15))
def test_cosscore_is_the_double_loop(seed, n, samples):
    matrix = rows(seed, n, samples)
    found = cosscore(torch.tensor(matrix))
    assert found == pytest.approx(cosscore_of(matrix.tolist()), rel=1e-9)
    assert 0.5 - 1e-9 <= found <= 1


def test_cosscore_of_parallel_and_of_orthogonal_rows():
    assert cosscore(torch.tensor([[1.0, 2.0], [-3.0, -6.0], [0.5, 1.0]])) == pytest.approx(0.5)
    assert cosscore(torch.eye(4)) == 1.0
    sixty = torch.tensor([[1.0, 0.0], [0.5, 3**0.5 / 2]])
    assert cosscore(sixty) == pytest.approx(1 - 0.5 ** (1 / 20) / 2)


# --- hidden covariance ---------------------------------------------------------------------------------


def remembered(*layers):
    """A probe of a network with these states; each layer is (units, samples), one sequence."""
    steps = [list(torch.tensor(units, dtype=torch.float32).T[:, None, :]) for units in layers]
    return Probe(Remembered(steps), words(1, len(steps[0]), 5))


SAME = [[0, 1, 0, -1], [0, 2, 0, -2]]  # correlation 1: eigenvalues 0 and 2
APART = [[0, 1, 0, -1], [1, 0, -1, 0]]  # correlation 0: eigenvalues 1 and 1
DEAD = [[0, 1, 0, -1], [3, 3, 3, 3]]  # the second unit is null: eigenvalues 0 and 1


@pytest.mark.parametrize(
    ("units", "expected"), [(SAME, worth(0, 2)), (APART, worth(1, 1)), (DEAD, worth(0, 1))]
)
def test_two_units_on_paper(units, expected):
    found = metric("hidden_covariance")(remembered(units))
    assert found.value == pytest.approx(expected, rel=1e-6)


def test_layers_are_counted_from_one_and_each_is_a_part():
    probe = remembered(SAME, APART)
    first = metric("hidden_covariance")(probe)
    second = metric("hidden_covariance:layer=2")(probe)
    assert first.value == first.parts["layer1"] == second.parts["layer1"]
    assert second.value == first.parts["layer2"] == pytest.approx(worth(1, 1))
    assert second.metric == "hidden_covariance:layer=2"


@pytest.mark.parametrize("layer", [0, 3, -1])
def test_a_layer_that_is_not_there_is_a_failure_with_the_layers_there_are(layer):
    found = metric("hidden_covariance").with_options(layer=layer)(remembered(SAME, APART))
    assert not found.ok
    assert f"layer={layer}, but the network has layers 1 to 2" in found.reason


@pytest.mark.parametrize("make", [torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU])
def test_of_torchs_own_modules_it_is_numpys_on_their_outputs(make):
    torch.manual_seed(1)
    module = make(6, 8, num_layers=2).double()
    probe = torch_probe(module, words(5, 12, 30))
    x = probe.model.embed(probe.batch.tokens).transpose(0, 1)
    with torch.no_grad():
        one = make(6, 8).double()
        one.load_state_dict({k: v for k, v in module.state_dict().items() if k.endswith("l0")})
        outs = [one(x)[0], module(x)[0]]  # (T, B, H)
    found = metric("hidden_covariance")(probe)
    for i, out in enumerate(outs, start=1):
        entering = np.concatenate([np.zeros((1, 5, 8)), out[:-1].numpy()])  # the zero state comes first
        assert found.parts[f"layer{i}"] == pytest.approx(eigscore_of(entering.reshape(-1, 8).T), rel=1e-8)
