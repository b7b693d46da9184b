"""The space of BERT-like encoders: what it spans, reads, writes, builds and counts."""

import json
import pickle
from itertools import islice
from random import Random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import untrained as ut
from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, UnknownName
from untrained.core.space import Space
from untrained.spaces.bert_encoder import PRESETS, BertEncoder

LAYER = {
    "operation_type": "SA",
    "operation_parameter": "SDP",
    "num_operation_heads": 2,
    "feed_forward_dimension": 512,
    "num_feed_forward": 3,
}


def recipe(*layers, hidden=256):
    return {"hidden_size": hidden, "nas_config": {"encoder_layers": [{**LAYER, **layer} for layer in layers]}}


@pytest.fixture(params=PRESETS)
def space(request):
    return BertEncoder(preset=request.param)


def samples(space, n=12):
    return [space.sample(Random(seed)) for seed in range(n)]


# --- what it spans -----------------------------------------------------------------------------------


def test_the_published_preset_has_the_published_size():
    assert BertEncoder().size() == 2 * (48**2 + 48**4) == 10_621_440
    assert BertEncoder(preset="large").size() == 3 * sum((7 * 3 * 8) ** n for n in (2, 4, 6))


def test_the_large_preset_reaches_the_published_ends():
    found = samples(BertEncoder(preset="large"), 300)
    assert {a.hidden for a in found} == {128, 256, 512}
    assert {a.layers for a in found} == {2, 4, 6}
    assert {h for a in found for h in a.heads} == {2, 4, 8}
    assert {op for a in found for op in a.operation} == {
        "sdp",
        "wma",
        "dft",
        "dct",
        "conv5",
        "conv9",
        "conv13",
    }
    assert {w for a in found for inner in a.inner for w in inner} == {512, 1024, 2048, 4096}
    assert {len(inner) for a in found for inner in a.inner} == {1, 3}


def test_every_preset_takes_the_architectures_of_the_others_and_encodes_them_alike():
    published, large = BertEncoder(), BertEncoder(preset="large")
    for arch in samples(large) + samples(published):
        published.validate(arch)
        large.validate(arch)
        assert published.encode(arch) == large.encode(arch)
    found = samples(large, 200)
    assert len({tuple(published.encode(a)) for a in found}) == len(set(found))


def test_a_preset_survives_a_trip_to_another_process(space):
    back = pickle.loads(pickle.dumps(space))
    assert (type(back), back.preset) == (type(space), space.preset)
    assert samples(back) == samples(space)


def test_moves_stay_in_the_preset(space):
    a, b = samples(space, 2)
    rng = Random(5)
    for arch in [space.mutate(a, rng), space.crossover(a, b, rng), *islice(space.neighbours(a), 200)]:
        Space.validate(space, arch)  # the declaration of the preset itself


def test_an_unknown_preset_is_named_with_the_known_ones():
    with pytest.raises(UnknownName, match="known: published, large"):
        ut.space("bert_encoder", preset="larg")


def test_the_simple_orders():
    space = BertEncoder()
    small, wide, deep = (
        space.from_recipe(recipe(*[{}] * n, hidden=h)) for n, h in ((2, 128), (2, 256), (4, 128))
    )
    first, second, third = (space.baseline(a) for a in (small, wide, deep))
    assert first["layers_then_width"] < second["layers_then_width"] < third["layers_then_width"]
    assert [b["layers_times_width"] for b in (first, second, third)] == [256, 512, 512]


# --- the published form ------------------------------------------------------------------------------


def test_a_recipe_is_read_as_it_is_written():
    arch = BertEncoder().from_recipe(
        recipe(
            {"operation_parameter": "WMA", "num_operation_heads": 4},
            {"operation_type": "DSC", "operation_parameter": 9, "num_feed_forward": 1},
        )
    )
    assert dict(arch.choices) == {
        "hidden": 256,
        "layers": 2,
        "operation": ("wma", "conv9"),
        "heads": (4, 2),
        "inner": ((512, 512, 512), (512,)),
    }


def test_recipes_go_round_in_both_directions(space):
    for arch in samples(space):
        written = space.to_recipe(arch)
        assert space.from_recipe(written) == arch
        assert space.from_recipe(json.dumps(written)) == arch
        assert space.from_recipe(json.dumps(written).encode()).id == arch.id
        assert space.to_recipe(space.from_recipe(written)) == written


def test_the_trainers_reading_widens_the_first_layer_alone():
    space = BertEncoder()
    told = recipe({}, {"num_feed_forward": 1})
    arch = space.from_recipe(told, feed_forward="trained")
    assert arch.inner == ((1024, 512, 512), (1024,))
    assert space.from_recipe(recipe({}, {}, hidden=128), feed_forward="trained").inner == ((512,) * 3,) * 2
    assert space.from_recipe(space.to_recipe(arch, feed_forward="trained"), feed_forward="trained") == arch
    with pytest.raises(InvalidArchitecture, match=r"cannot say the widths \[1024, 512, 512\]"):
        space.to_recipe(arch)


def test_recipes_that_were_trained_alike_are_one_architecture():
    space = BertEncoder()
    one, other = (recipe({"num_feed_forward": 1, "feed_forward_dimension": w}, {}) for w in (512, 1024))
    assert space.from_recipe(one) != space.from_recipe(other)
    assert len({space.from_recipe(r, feed_forward="trained").id for r in (one, other)}) == 1


def test_operations_can_be_read_as_plain_attention():
    told = recipe({"operation_type": "LT", "operation_parameter": "DCT"}, {"operation_parameter": "WMA"})
    assert BertEncoder().from_recipe(told, operation="attention").operation == ("sdp", "sdp")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (recipe({}, {"operation_parameter": "SPD"}), "layer 2: no operation is called 'SA' 'SPD'"),
        (
            recipe({"operation_type": "DSC", "operation_parameter": "5"}, {}),
            "layer 1: no operation is called",
        ),
        (recipe({"operation_type": ["SA"]}, {}), "no operation"),
        (
            recipe({"num_operation_heads": 3}, {}),
            "layer 1: 3 heads do not divide a hidden size of 256 evenly",
        ),
        (recipe({}, {}, hidden=100), "hidden = 100"),
        (recipe({}, {}, hidden=256.0), "hidden_size is 256.0"),
        (recipe({}, {}, hidden=True), "hidden_size is True"),
        (recipe({}, {"feed_forward_dimension": "512"}), "layer 2: feed_forward_dimension is '512'"),
        (recipe({"num_feed_forward": 0}, {}), "num_feed_forward is 0"),
        (recipe({"num_feed_forward": 10**12}, {}), "num_feed_forward is 1000000000000"),
        (recipe({"num_feed_forward": 2}, {}), "inner"),
        (recipe(), "at least one layer"),
        (recipe(*[{}] * 7), "layers = 7"),
        ({"hidden_size": 128}, "lacks nas_config"),
        ({"hidden_size": 128, "nas_config": {}}, "lacks encoder_layers"),
        ({"hidden_size": 128, "nas_config": {"encoder_layers": "two"}}, "not a list"),
        ({"hidden_size": 128, "nas_config": {"encoder_layers": [{}, 3]}}, "layer 1 lacks operation_type"),
        ([1, 2], "the recipe is"),
        ("{", "not JSON"),
        (b"\xff", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_broken_recipe_is_told_where_it_breaks(broken, said):
    with pytest.raises(InvalidArchitecture) as caught:
        BertEncoder().from_recipe(broken)
    assert said in str(caught.value)


def test_an_unknown_reading_is_named():
    with pytest.raises(UnknownName, match="declared, trained"):
        BertEncoder().from_recipe(recipe({}, {}), feed_forward="train")
    with pytest.raises(UnknownName, match="declared, attention"):
        BertEncoder().from_recipe(recipe({}, {}), operation="sdp")


@pytest.mark.parametrize(
    "changed",
    [
        {"layers": 0, "operation": (), "heads": (), "inner": ()},
        {"layers": 3},
        {"operation": ("sdp", "attention")},
        {"heads": (2, 3)},
        {"heads": (2, 2.0)},
        {"hidden": 256.0},
        {"hidden": "256"},
        {"inner": ((512,), (512.0,))},
        {"inner": ((512,), (512, 512))},
        {"inner": (512, 512)},
        {"heads": None},
    ],
)
def test_an_architecture_that_is_none_is_refused(changed):
    good = {"hidden": 256, "layers": 2, "operation": ("sdp",) * 2, "heads": (2, 2), "inner": ((512,),) * 2}
    space = BertEncoder()
    space.validate(Architecture.of("bert_encoder", **good))
    with pytest.raises(InvalidArchitecture):
        space.validate(Architecture.of("bert_encoder", **{**good, **changed}))


# --- networks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["paper", "probe"])
def test_the_counts_are_those_of_the_built_network(space, scale):
    length = space.shape(scale).length
    for arch in samples(space, 8):
        model, told = space.build(arch, scale=scale, generator=luck()), space.count(arch, scale=scale)
        outside = {id(w) for w in model.embedding_parameters()}
        assert told["params"] == sum(w.numel() for w in model.parameters())
        assert told["params_nonembedding"] == sum(
            w.numel() for w in model.parameters() if id(w) not in outside
        )
        mixers = [w for block in model.blocks for w in block.mixer.parameters()]
        assert told["params_attention"] == sum(w.numel() for w in mixers)
        feeds = [w for block in model.blocks for w in block.ffn.parameters()]
        assert told["params_ffn"] == sum(w.numel() for w in feeds)
        assert told["params_embedding"] == sum(w.numel() for w in model.embedding_parameters())
        assert told["params_head"] == 0
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, length, dtype=torch.long))
        assert told["flops"] * length == counter.get_total_flops()


@pytest.mark.parametrize("operation", ["sdp", "wma", "dft", "dct", "conv5", "conv9", "conv13"])
def test_the_counts_of_one_operation(operation):
    space = BertEncoder()
    for hidden in (128, 256, 512):
        for heads in (2, 4, 8):
            arch = Architecture.of(
                "bert_encoder",
                hidden=hidden,
                layers=2,
                operation=(operation,) * 2,
                heads=(heads,) * 2,
                inner=((1024, 512, 512), (2048,)),
            )
            space.validate(arch)
            model = space.build(arch, scale="probe", generator=luck())
            assert space.count(arch, scale="probe")["params"] == sum(w.numel() for w in model.parameters())


def test_the_network_has_the_width_that_the_architecture_says():
    space = BertEncoder()
    arch = space.from_recipe(
        recipe({"num_feed_forward": 1}, {"operation_type": "DSC", "operation_parameter": 5}, hidden=128)
    )
    model = space.build(arch, generator=luck())
    assert model.embedding.tables[0].weight.shape == (30_522, 128)
    assert model.positions.weight.shape == (512, 128)
    assert not model.embedding.projections  # 128 channels come as they are
    assert [[up.out_features for up in block.ffn.up] for block in model.blocks] == [[512], [512] * 3]
    assert model.blocks[0].mixer.query.weight.shape == (128, 128)
    assert model.blocks[1].mixer.kernels.out_features == 5  # one convolving head of the two
    wide = space.build(space.from_recipe(recipe({}, {})), generator=luck())
    assert wide.embedding.projections[0].weight.shape == (256, 128)
    assert (wide.norm.normalized_shape, wide.blocks[0].ffn_norm.normalized_shape) == ((128,), (256,))


def test_the_scales():
    space = BertEncoder()
    assert vars(space.shape("probe")) == {"vocabulary": 2_000, "sequences": 8, "length": 64}
    assert vars(space.shape("paper")) == {"vocabulary": 30_522, "sequences": 16, "length": 128}
    with pytest.raises(UnknownName, match="paper, probe"):
        space.shape("tiny")
    arch = space.sample(Random(0))
    probe, paper = (space.network(arch, scale=scale) for scale in ("probe", "paper"))
    assert (probe.init, paper.init) == ("fan_in", "normal")
    assert (probe.width, probe.layers) == (paper.width, paper.layers) == (arch.hidden, paper.layers)
    assert (paper.causal, paper.pre) == (False, False)


def test_a_network_can_be_scored_at_both_scales():
    space = BertEncoder()
    arch = space.sample(Random(3))
    found = ut.score(arch, ["params", "params_nonembedding", "flops", "jacobian_cosine"])
    assert all(m.ok for m in found.values()), found
    assert found["params"].value == space.count(arch)["params"]
    assert ut.score(arch, "jacobian_cosine", scale="paper").ok


def luck():
    return torch.Generator().manual_seed(0)
