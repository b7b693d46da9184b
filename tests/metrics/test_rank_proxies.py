"""Depth x width x embedding rank, reuse, spread and reach, against loops and sums worked by hand."""

import csv
import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import metric
from untrained.core.statistics import hard_pairs, kendall_tau
from untrained.metrics._embedding_rank import effective_rank, zipf_masses
from untrained.metrics._rank_terms import participation_ratio
from untrained.nn.adapters import adapt
from untrained.nn.batch import Batch
from untrained.nn.probe import Probe
from untrained.nn.recurrent import from_torch
from untrained.nn.stream import Stream, WordTable, stream_of
from untrained.nn.taps import Tape
from untrained.nn.transformer import LayerShape, Transformer, TransformerShape

EULER = 0.5772156649015329
NAMES = ("depth_width_rank", "rank_and_reuse", "rank_reuse_memory", "rank_and_spread", "rank_spread_reach")


def tables(*clusters: tuple[int, int]) -> tuple[WordTable, ...]:
    return tuple(WordTable(words, width) for words, width in clusters)


def adaptive(width: int, *clusters: tuple[int, int]) -> Stream:
    return Stream(1, width, tables(*clusters), projected=True)


def shape(**changes: object) -> TransformerShape:
    usual: dict[str, object] = {
        "width": 32,
        "layers": (LayerShape(heads=2, inner=(48,)), LayerShape(heads=4, inner=(64, 40))),
        "vocabulary": 100,
        "positions": 64,
        "init": "fan_in",
    }
    return TransformerShape(**(usual | changes))


def transformer(**changes: object) -> Transformer:
    return Transformer(shape(**changes), torch.Generator().manual_seed(0)).eval()


def text(sequences: int = 16, length: int = 40, vocabulary: int = 100) -> Batch:
    ids = torch.randint(vocabulary, (sequences, length + 1), generator=torch.Generator().manual_seed(1))
    return Batch(ids[:, :-1], ids[:, 1:])


def value(name: str, model: nn.Module, batch: Batch | None = None) -> float:
    found = metric(name)(Probe(model, batch or text()))
    assert found.value is not None, found.reason
    return found.value


# --- effective rank -----------------------------------------------------------------------------------


def drawn_rank(width: int, clusters: Sequence[tuple[int, int]], seed: int) -> float:
    """The definition: projections drawn, the covariance summed word cluster by word cluster."""
    rng, total = np.random.default_rng(seed), sum(words for words, _ in clusters)
    covariance, below = np.zeros((width, width)), 0
    for words, channels in clusters:
        last = math.log(below + words) + EULER
        first = math.log(below) + EULER if below else 0.0
        mass, below = (last - first) / (math.log(total) + EULER), below + words
        for row in rng.standard_normal((channels, width)) / math.sqrt(channels):  # one channel of a table
            covariance += mass * np.outer(row, row)
    shares = np.linalg.eigvalsh(covariance).clip(1e-300) / np.trace(covariance)
    return math.exp(-sum(s * math.log(s) for s in shares))


@pytest.mark.parametrize(
    ("width", "clusters"),
    [
        (128, [(19_997, 512), (20_000, 128), (10_267, 32)]),
        (256, [(19_997, 64), (20_000, 16), (160_000, 4), (67_738, 1)]),  # narrower than the stream
        (256, [(50_264, 256)]),
        (96, [(50_264, 384)]),
        (384, [(30_522, 128)]),
        (200, [(1_000, 100), (9_000, 100)]),  # as wide as the stream together, in equal tables
    ],
)
def test_the_limit_is_what_drawn_projections_give(width, clusters):
    drawn = np.mean([drawn_rank(width, clusters, seed) for seed in range(3)])
    assert effective_rank(adaptive(width, *clusters)) == pytest.approx(drawn, rel=0.01)


def test_one_table_has_the_rank_of_page():
    assert effective_rank(adaptive(64, (50, 256))) == pytest.approx(64 * math.exp(-64 / 512))
    assert effective_rank(adaptive(256, (50, 64))) == pytest.approx(64 * math.exp(-64 / 512))
    assert effective_rank(adaptive(64, (50, 64))) == pytest.approx(64 * math.exp(-1 / 2))


def test_without_a_projection_every_channel_counts():
    assert effective_rank(Stream(3, 48, tables((1_000, 48)), projected=False)) == 48.0


def test_wider_tables_never_lower_the_rank():
    found = [effective_rank(adaptive(128, (1_000, e), (9_000, max(1, e // 4)))) for e in range(1, 400, 7)]
    assert all(a < b for a, b in pairwise(found))
    assert found[-1] < 128


def test_zipf_masses_are_harmonic_sums():
    exact = [1 / r for r in range(1, 30_001)]
    sums = [sum(exact[:2_000]), sum(exact[2_000:10_000]), sum(exact[10_000:])]
    found = zipf_masses(tables((2_000, 8), (8_000, 4), (20_000, 2)))
    assert found == pytest.approx([s / sum(exact) for s in sums], rel=1e-3)
    assert zipf_masses(tables((7, 3))) == [1.0]


# --- depth x width x rank -----------------------------------------------------------------------------


def test_plain_size_by_hand():
    # a layer: 4 * 32 * 32 attention, 32 * 48 * 2 and 32 * 64 + 64 * 40 + 40 * 32 feed-forward; norms 2 * 64
    inside = 2 * 4 * 32 * 32 + 2 * 32 * 48 + 32 * 64 + 64 * 40 + 40 * 32 + 5 * 64
    by_hand = math.log(2) + 2 * math.log(32) + 0.3 * math.log(inside)
    assert value("depth_width_rank", transformer(bias=False)) == pytest.approx(by_hand, rel=1e-12)


def test_factorised_and_adaptive_embeddings_enter_through_their_rank():
    plain = value("depth_width_rank", transformer())
    rank = 16 * math.exp(-16 / 64)
    assert value("depth_width_rank", transformer(embedding=16)) == pytest.approx(
        plain + math.log(rank / 32), rel=1e-12
    )
    small = ((40, 24), (60, 6))
    rank = effective_rank(adaptive(32, *small))
    assert value("depth_width_rank", transformer(clusters=small)) == pytest.approx(
        plain + math.log(rank / 32)
    )
    true = ((20_000, 24), (247_735, 6))
    rank = effective_rank(adaptive(32, *true))
    told = transformer(clusters=small, full=Stream(2, 32, tables(*true), projected=True))
    assert value("depth_width_rank", told) == pytest.approx(plain + math.log(rank / 32))


def test_one_cluster_of_the_full_width_is_still_projected():
    model = transformer(clusters=((100, 32),))
    assert len(model.embedding.projections) == 1
    assert model.stream() == Stream(2, 32, tables((100, 32)), projected=True)


def test_the_shape_alone_decides():
    def never() -> Batch:
        raise AssertionError("a text was asked for")

    first, second = (
        metric("depth_width_rank")(Probe(Transformer(shape(), torch.Generator().manual_seed(s)), never)).value
        for s in (1, 2)
    )
    assert first == second


def test_encoders_and_head_ties_make_no_difference_to_the_shape():
    base = value("depth_width_rank", transformer())
    assert value("depth_width_rank", transformer(causal=False)) == base
    assert value("depth_width_rank", transformer(tied=False)) == base


def test_any_model_may_describe_itself():
    model = Recurrent()
    assert stream_of(model) == Stream(1, 8, tables((100, 8)), projected=False)
    by_hand = 2 * math.log(8) + 0.3 * math.log(8 * 8 + 8)
    assert value("depth_width_rank", model) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("file", "tau", "hard"), [("random_GPT2_wt103", 0.90, 0.82), ("random_TransXL_wt103", 0.91, 0.81)]
)
def test_the_rank_decides_where_size_does_not(file, tau, hard):
    path = Path(__file__).parents[2].parent / "shared" / "data" / "lts" / f"{file}.csv"
    if not path.is_file():
        pytest.skip("the LiteTransformerSearch tables are not at hand")
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    inside = np.array([float(row["params_nonembedding"]) for row in rows])
    score = 0.3 * np.log(inside) + [_size_and_rank(row) for row in rows]
    quality = -np.log([float(row["valid_ppl"]) for row in rows])
    assert kendall_tau(score, quality) > max(tau, kendall_tau(inside, quality) + 0.04)
    assert (hard_pairs(score, quality, inside)[0] or 0) > hard


def _size_and_rank(row: dict[str, str]) -> float:
    """ln L + ln d + ln er of a published row."""
    layers, width, words = int(row["n_layer"]), int(row["d_model"]), int(row["n_token"])
    widest, by = int(row["d_embed"]), int(row["div_val"])
    widest = width if widest < 1 else widest
    ends = [0, *(c for c in json.loads(row["cutoffs"]) if c < words and by > 1), words]
    clusters = [(end - start, max(1, widest // by**k)) for k, (start, end) in enumerate(pairwise(ends))]
    stream = Stream(layers, width, tables(*clusters), projected=by > 1 or widest != width)
    return math.log(layers * width * effective_rank(stream))


# --- reuse --------------------------------------------------------------------------------------------

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def reuse(model: nn.Module) -> float:
    return metric("rank_and_reuse")(Probe(model, text())).parts["reuse"]


def test_reuse_by_hand():
    first = 4 * 32 * 32 + 2 * 32 * 48
    last = 4 * 32 * 32 + 32 * 64 + 64 * 40 + 40 * 32
    mean = (2 * first + last) / (first + last)
    model = transformer(bias=False)
    assert reuse(model) == pytest.approx(mean, rel=1e-12)
    inside = first + last + 5 * 64  # with the norms
    by_hand = math.log(2) + 2 * math.log(32) + math.log(inside * mean) / 4
    assert value("rank_and_reuse", model) == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_reuse_counts_each_parameter_once_for_every_layer_from_its_own_on(seed):
    rng = np.random.default_rng(seed)
    layers = tuple(
        LayerShape(
            heads=int(rng.choice([1, 2, 4])), inner=tuple(map(int, rng.integers(4, 90, rng.integers(1, 4))))
        )
        for _ in range(5)
    )
    model = transformer(layers=layers, mlp=("gelu", "swiglu", "relu")[seed])
    pairs = weights = 0
    for name, weight in model.named_parameters():
        if name.startswith("blocks.") and "norm" not in name:
            weights += weight.numel()
            for layer in range(5):
                pairs += weight.numel() * (layer >= int(name.split(".")[1]))
    assert reuse(model) == pytest.approx(pairs / weights, rel=1e-12)


def test_wide_layers_are_worth_more_below_than_above():
    wide, narrow = LayerShape(heads=2, inner=(96,)), LayerShape(heads=2, inner=(8,))
    below, above = transformer(layers=(wide, narrow)), transformer(layers=(narrow, wide))
    assert value("rank_and_reuse", below) > value("rank_and_reuse", above)
    assert value("depth_width_rank", below) == value("depth_width_rank", above)
    assert reuse(below) + reuse(above) == pytest.approx(3)  # layer 1 counts twice, layer 2 once
    assert reuse(transformer(layers=(wide,) * 7)) == 4.0


def test_a_torch_encoder_has_its_reuse():
    layer = nn.TransformerEncoderLayer(16, 2, 24, batch_first=True)
    encoder = adapt(nn.TransformerEncoder(layer, 3, enable_nested_tensor=False), vocabulary=100)
    assert reuse(encoder) == pytest.approx(2.0)


def test_layers_that_cannot_be_told_apart_have_no_reuse():
    assert "blocks" in reason("rank_and_reuse", Recurrent())
    assert "stream()" in reason("rank_and_reuse", nn.Linear(3, 3))


@pytest.mark.parametrize(
    ("file", "tau", "hard"), [("random_GPT2_wt103", 0.90, 0.83), ("random_TransXL_wt103", 0.91, 0.81)]
)
def test_reuse_keeps_the_order_of_the_decoders(file, tau, hard):
    path = DATA / "lts" / f"{file}.csv"
    if not path.is_file():
        pytest.skip("the LiteTransformerSearch tables are not at hand")
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    inside = np.array([float(row["params_nonembedding"]) for row in rows])
    score = [_size_and_rank(row) for row in rows] + np.log(inside * [_reuse(row) for row in rows]) / 4
    quality = -np.log([float(row["valid_ppl"]) for row in rows])
    assert kendall_tau(score, quality) > tau
    assert (hard_pairs(score, quality, inside)[0] or 0) > hard


def _reuse(row: dict[str, str]) -> float:
    """Of a published row, biases left out."""
    width, heads = int(row["d_model"]), json.loads(row["n_head"])
    own = [
        4 * width * (width // h) * h + 2 * width * f
        for h, f in zip(heads, json.loads(row["d_inner"]), strict=True)
    ]
    return sum((len(own) - i) * n for i, n in enumerate(own)) / sum(own)


@pytest.mark.parametrize("trained", [True, False])
def test_reuse_orders_encoders_of_one_size(trained):
    path = DATA / "nas-bench-bert" / "BERT_benchmark.json"
    if not path.is_file():
        pytest.skip("the encoders are not at hand")
    score, inside, quality = [], [], []
    for network in json.loads(path.read_bytes()):
        recipe = network["hparams"]["model_hparam_overrides"]
        width, own = recipe["hidden_size"], []
        for layer in recipe["nas_config"]["encoder_layers"]:
            inner = [layer["feed_forward_dimension"]] * layer["num_feed_forward"]
            inner[0] = 4 * width if trained else inner[0]
            own.append(4 * width**2 + sum(a * b for a, b in pairwise([width, *inner, width])))
        pairs = sum((len(own) - i) * n for i, n in enumerate(own))
        table = Stream(1, width, tables((30_522, 128)), projected=width != 128)
        score.append(math.log(len(own) * width * effective_rank(table)) + math.log(pairs) / 4)
        inside.append(sum(own))
        quality.append(network["scores"]["glue"])
    assert kendall_tau(score, quality, "a") > 0.72
    assert (hard_pairs(score, quality, inside, min_gap=0.5)[0] or 0) > 0.75


# --- reuse and memory ---------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [True, False])
def test_memory_of_a_transformer_by_loops(causal):
    model, batch = transformer(causal=causal, bias=False), text()
    found = metric("rank_reuse_memory")(Probe(model, batch))
    first, last = 2 * 32 * 48, 32 * 64 + 64 * 40 + 40 * 32
    shape = math.log(2) + 2 * math.log(32) + math.log(2 * first + last) / 4
    assert found.parts["shape"] == pytest.approx(shape, rel=1e-12)
    memory = sum(looped_memory(model, batch.tokens[:16, :25], layer) for layer in range(2)) / 2
    assert found.parts["memory"] == pytest.approx(memory, rel=1e-3)
    assert found.value == pytest.approx(shape + math.log(memory * found.parts["live"]), rel=1e-4)


def looped_memory(model: nn.Module, tokens: Tensor, layer: int) -> float:
    """The capacity at a noise floor of 3 % of what one word owns of the states, 0 to 8 steps later."""

    def states(ids: Tensor) -> np.ndarray:
        tape = Tape(("block",))
        with torch.inference_mode():
            model.encode(model.embed(ids), tape)
        return tape["block"][layer][0].double().numpy()

    base, owned = states(tokens), np.zeros(9)
    for start in (8, 16):
        other = tokens.clone()
        for row in range(len(tokens)):
            other[row, start] = tokens[row - 1, start]
        after = states(other)
        for lag in range(9):
            moved = [
                ((after[row, start + lag] - base[row, start + lag]) ** 2).sum() for row in range(len(tokens))
            ]
            apart = 2 * base[:, start + lag].var(0, ddof=0).sum()
            owned[lag] += np.mean(moved) / apart / 2
    owned /= max(1, owned.sum())
    weights = 1 / np.arange(1, 10)
    return float((weights / weights.sum() * np.log1p(owned / 0.03)).sum())


def test_a_recurrent_network_is_scored_by_memory_over_its_lengths():
    probe = Probe(from_torch(nn.LSTM(24, 40, num_layers=2), vocabulary=100), text())
    found, alone = metric("rank_reuse_memory")(probe), metric("fading_memory")(probe)
    assert found.parts["shape"] == pytest.approx(math.log(2 * 40 * 24), rel=1e-12)
    assert found.parts["live"] == alone.parts["live"]
    single = Probe(from_torch(nn.GRU(24, 40), vocabulary=100), text())
    found, alone = metric("rank_reuse_memory")(single), metric("fading_memory")(single)
    assert found.value == pytest.approx(math.log(40 * 24 * alone.value))


def test_a_dead_recurrent_network_comes_last():
    lstm = nn.LSTM(24, 40)
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.zero_()
    found = metric("rank_reuse_memory")(Probe(from_torch(lstm, vocabulary=100), text()))
    assert found.value == pytest.approx(math.log(40 * 24) + math.log(1e-6))


def test_networks_that_say_too_little_have_no_joint_score():
    assert "stream()" in reason("rank_reuse_memory", nn.Linear(3, 3))
    assert "at least 2 sequences of 25 words" in reason("rank_reuse_memory", transformer(), text(length=24))


# --- spread -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(40, 7), (7, 40)])
def test_participation_ratio_is_that_of_the_eigenvalues(size):
    rows = torch.randn(*size, generator=torch.Generator().manual_seed(2)) * 3 + 5
    spectrum = np.linalg.eigvalsh(np.cov(rows.double().numpy().T))
    assert participation_ratio(rows) == pytest.approx(spectrum.sum() ** 2 / (spectrum**2).sum(), rel=1e-9)


def test_participation_ratio_of_known_spreads():
    line = torch.arange(6.0)[:, None] * torch.tensor([1.0, -2.0, 0.5])
    assert participation_ratio(line) == pytest.approx(1.0)
    axes = torch.cat([torch.eye(4), -torch.eye(4)])
    assert participation_ratio(axes) == pytest.approx(4.0)


def test_spread_is_that_of_the_first_512_tokens_and_first_units():
    model, batch = transformer(), text()
    tape = Tape(("preactivation",))
    with torch.inference_mode():
        model.encode(model.embed(batch.tokens), tape)
    total = 0.0
    for written in tape["preactivation"]:
        rows = written[0].reshape(-1, written[0].shape[-1])[:512].double().numpy()
        spectrum = np.linalg.eigvalsh(np.cov(rows.T))
        total += spectrum.sum() ** 2 / (spectrum**2).sum()
    found = metric("rank_and_spread")(Probe(model, batch))
    assert found.parts["spread"] == pytest.approx(total, rel=1e-5)
    assert found.value == pytest.approx(value("depth_width_rank", model) + 0.25 * math.log(total), rel=1e-6)


# --- reach --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("pre", [True, False])
def test_reach_is_the_mean_over_sequences_and_later_positions(causal, pre):
    model, batch = transformer(causal=causal, pre=pre), text()
    other = batch.tokens[:8].clone()
    for row in other:
        row[16] = (row[16] + 50) % 100

    def top(tokens: Tensor) -> Tensor:
        with torch.inference_mode():
            states = model.encode(model.embed(tokens)).double()
        return (states - states.mean(-1, keepdim=True)) / (
            states.var(-1, correction=0, keepdim=True) + 1e-5
        ) ** 0.5

    before, after = top(batch.tokens[:8]), top(other)
    moved = [
        float((after[b, t] - before[b, t]).norm() / before[b, t].norm())
        for b in range(8)
        for t in range(17, 40)
    ]
    found = metric("rank_spread_reach")(Probe(model, batch))
    assert found.parts["reach"] == pytest.approx(sum(moved) / len(moved), rel=1e-3)
    expected = value("rank_and_spread", model) + 0.25 * math.log(found.parts["reach"])
    assert found.value == pytest.approx(expected, rel=1e-6)


# --- what all of them keep ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_two_measurements_agree_and_leave_the_model_alone(name):
    model = transformer(clusters=((40, 24), (60, 6)))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    luck = torch.random.get_rng_state()
    assert value(name, model) == value(name, model)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert torch.equal(luck, torch.random.get_rng_state())


def test_they_share_their_passes():
    model, runs = transformer(), 0
    run = model.encode

    def counted(embedded: Tensor, tape: Tape | None = None) -> Tensor:
        nonlocal runs
        runs += 1
        return run(embedded, tape)

    model.encode = counted
    probe = Probe(model, text()).expect(("preactivation",))
    assert all(metric(name)(probe).ok for name in NAMES)
    assert runs == 5  # the batch, one token changed; 25 tokens, two changed


# --- what has no score --------------------------------------------------------------------------------


class Silent(Transformer):
    """A decoder in which no position hears another."""

    def encode(self, embedded: Tensor, tape: Tape | None = None) -> Tensor:
        if tape is not None:
            for layer in range(2):
                tape.add("preactivation", layer, embedded)
        return embedded


def reason(name: str, model: nn.Module, batch: Batch | None = None) -> str:
    found = metric(name)(Probe(model, batch or text()))
    assert not found.ok
    return found.reason or ""


def test_a_model_that_does_not_describe_itself_is_told_how():
    assert "stream()" in reason("depth_width_rank", nn.Linear(3, 3))


def test_positions_that_do_not_mix_have_no_reach():
    assert "do not mix" in reason("rank_spread_reach", Silent(shape(), torch.Generator().manual_seed(0)))


def test_a_short_batch_has_no_reach():
    assert "at least 18 tokens, the batch has 17" in reason(
        "rank_spread_reach", transformer(), text(length=17)
    )


def test_activations_that_do_not_vary_have_no_spread():
    model = transformer()
    for block in model.blocks:
        nn.init.zeros_(block.ffn.up[0].weight)
    assert "do not vary" in reason("rank_and_spread", model)
    with pytest.raises(MeasurementFailed, match="not finite"):
        participation_ratio(torch.tensor([[1.0, 2.0], [math.inf, 0.0]]))


def test_a_recurrent_network_has_no_feed_forward_layers():
    probe = Probe(Recurrent(), text())
    assert "preactivation" in (metric("rank_and_spread")(probe).reason or "")


class Recurrent(nn.Module):
    roles = ("hidden",)
    vocabulary = 100

    def stream(self) -> Stream:
        return Stream(1, 8, tables((100, 8)), projected=False)

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Linear(8, 8)


@pytest.mark.parametrize(
    ("depth", "clusters", "projected"),
    [(0, ((9, 8),), False), (1, (), False), (1, ((9, 0),), True), (1, ((9, 4),), False)],
)
def test_an_impossible_stream_is_refused(depth, clusters, projected):
    with pytest.raises(MeasurementFailed):
        Stream(depth, 8, tables(*clusters), projected=projected)
