"""gpt_decoder: what is sound, what it costs, and that the network built is the one that was counted."""

import math
from random import Random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, UnknownName
from untrained.spaces import _gpt_rules
from untrained.spaces.gpt_decoder import GptDecoder

SPACE = GptDecoder()
SMALL = {"width": 32, "heads": (4, 2), "inner": (48, 1_313 % 100), "vocabulary": 2_000, "context": 32}
CLUSTERED = {"embedding": 16, "cutoffs": (100, 600), "div_val": 2}
XL = {"placement": "post", "mlp": "relu", "position": "relative"}
VARIANTS = {
    "gpt2": {},
    "untied": {"head": "untied"},
    "narrow": {"embedding": 8},
    "narrow_untied": {"embedding": 8, "head": "untied"},
    "llama": {"norm": "rms", "mlp": "swiglu", "position": "rotary", "bias": False, "head": "untied"},
    "grouped": {"kv_heads": (2, 1)},
    "wide_heads": {"head_width": 24, "kv_heads": (2, 2)},
    "floor": {"heads": (3, 5), "head_width": "floor"},
    "cosformer": {"mixer": ("cosformer", "softmax")},
    "window": {"mixer": ("window", "window"), "span": 8, "position": "none"},
    "post": {"placement": "post"},
    "clusters": CLUSTERED,
    "one_cluster": {"div_val": 4},
    "adaptive": {**CLUSTERED, "head": "adaptive"},
    "adaptive_own": {**CLUSTERED, "head": "adaptive_own"},
    "adaptive_even": {"head": "adaptive", "cutoffs": (100, 600)},
    "adaptive_narrow": {"head": "adaptive", "cutoffs": (100, 600), "embedding": 8},
    "adaptive_narrow_own": {"head": "adaptive_own", "cutoffs": (100, 600), "embedding": 8},
    "transformer_xl": {**XL, **CLUSTERED, "head": "adaptive"},
    "transformer_xl_floor": {**XL, "heads": (3, 5), "head_width": "floor"},
}


def made(**changed):
    return SPACE.of(**(SMALL | changed))


def built(arch, scale="paper", seed=0):
    return SPACE.build(arch, scale=scale, generator=torch.Generator().manual_seed(seed))


def tokens(length=32):
    return torch.randint(0, 2_000, (2, length), generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request):
    return made(**VARIANTS[request.param])


@pytest.mark.parametrize("scale", ["paper", "probe"])
def test_the_network_built_is_the_one_counted(variant, scale):
    SPACE.validate(variant)
    net, counts = built(variant, scale), SPACE.count(variant, scale=scale)
    outside = {id(w) for w in net.embedding_parameters()}
    inside = [w for w in net.parameters() if id(w) not in outside]
    assert counts["params"] == sum(w.numel() for w in net.parameters())
    assert counts["params_nonembedding"] == sum(w.numel() for w in inside)
    attended = sum(w.numel() for b in net.blocks for w in b.mixer.parameters())
    fed = sum(w.numel() for b in net.blocks for w in b.ffn.parameters())
    assert (counts["params_attention"], counts["params_ffn"]) == (attended, fed)
    assert counts["params"] == sum(counts[f"params_{k}"] for k in ("nonembedding", "embedding", "head"))


@pytest.mark.parametrize("family", ["mixed", "lts", "lts_transformer_xl"])
def test_samples_of_every_family_are_counted_as_built(family):
    space = GptDecoder(family=family)
    for seed in range(4):
        arch = space.sample(Random(seed))
        SPACE.validate(arch)
        if arch.width <= 320:
            net = space.build(arch, scale="probe", generator=torch.Generator().manual_seed(0))
            assert sum(w.numel() for w in net.parameters()) == space.count(arch, scale="probe")["params"]
        if family != "mixed":
            assert arch.heads == arch.kv_heads
            assert min(arch.inner) >= 1.7 * arch.width


@pytest.mark.parametrize("family", ["mixed", "lts", "lts_transformer_xl"])
def test_changed_decoders_stay_in_the_family_and_every_choice_can_change(family):
    space = GptDecoder(family=family)
    rng, changed = Random(1), set()
    arch, other = space.sample(rng), space.sample(rng)
    free = {name for name, slot in space.declared().items() if len(slot.options) > 1}
    for _ in range(400):
        child = space.mutate(arch, rng)
        assert child != arch
        assert space.valid(child)
        changed |= {name for name in free if getattr(child, name) != getattr(arch, name)}
        arch = child
    assert changed == free
    children = {space.crossover(arch, other, rng) for _ in range(20)}
    assert len(children) > 1
    assert all(space.valid(child) for child in children)


@pytest.mark.parametrize("name", [n for n, c in VARIANTS.items() if "cutoffs" not in c and "span" not in c])
def test_flops_are_those_that_torch_counts(name):
    arch = made(**VARIANTS[name])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        built(arch)(tokens(arch.context))
    per_token = counter.get_total_flops() / (2 * arch.context)
    loose = 0.02 if name == "cosformer" else 0.0  # torch counts its turning by an angle as a product
    if name.startswith("transformer_xl"):  # once a sequence, and torch sees two of them
        per_token += sum(32 * h * (32 // h) for h in arch.heads)
    assert SPACE.count(arch)["flops"] == pytest.approx(per_token, rel=loose, abs=0.5)


def test_a_window_and_cosformer_cost_less_than_softmax():
    costs = [SPACE.count(made(**(VARIANTS[v] | {"context": 4_096})))["flops"] for v in ("cosformer", "gpt2")]
    assert costs[0] < costs[1]
    plain, window = made(context=4_096), made(context=4_096, mixer=("window", "softmax"))
    assert SPACE.count(window)["flops"] < SPACE.count(plain)["flops"]


def test_known_decoders_have_their_known_size():
    assert SPACE.count(SPACE.preset("gpt2"))["params"] == 124_439_808
    assert SPACE.count(SPACE.preset("llama"))["params"] == 6_738_415_616
    qk_norms = 28 * 2 * 128  # that Qwen3 has and we have not
    assert SPACE.count(SPACE.preset("qwen3"))["params"] + qk_norms == 596_049_920
    assert round(SPACE.count(SPACE.preset("transformer_xl"))["params"] / 1e6) == 151
    with pytest.raises(UnknownName, match="gpt2"):
        SPACE.preset("gpt3")
    with pytest.raises(UnknownName, match="lts"):
        GptDecoder(family="ltss")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"heads": (3, 4)}, "layer 1: 3 heads do not divide a width of 32"),
        ({"layers": 0, "heads": (), "inner": ()}, "layers = 0"),
        ({"layers": 3}, "heads needs 3 values"),
        ({"mixer": ("softmax", "mamba")}, "layer 2: no mixer is called 'mamba'"),
        ({"norm": "batch"}, "no norm is called 'batch'; there are: layer, rms"),
        ({"mlp": "elu"}, "no mlp"),
        ({"placement": "between"}, "no placement"),
        ({"position": "alibi"}, "no position"),
        ({"head": "three"}, "no head"),
        ({"kv_heads": (3, 2)}, "layer 1: 4 query heads cannot share 3"),
        ({"kv_heads": (4, 2, 1)}, "kv_heads needs 2 values"),
        ({"inner": (48, 0)}, "layer 2: inner = 0"),
        ({"inner": (48.5, 48)}, "layer 1: inner = 48.5"),
        ({"width": True}, "width = True"),
        ({"width": "32"}, "width = '32'"),
        ({"vocabulary": 100}, "vocabulary = 100"),
        ({"context": 16}, "context = 16"),
        ({"bias": 1}, "bias = 1"),
        ({"head_width": 0}, "head_width = 0"),
        ({"head_width": "odd"}, "head_width = 'odd'"),
        ({"head_width": "floor"}, "write 'even'"),
        ({"heads": (4, 4), "head_width": 8}, "write 'even'"),
        ({"heads": (32, 4), "position": "rotary"}, "rotary positions turn pairs"),
        ({"mixer": ("cosformer", "softmax"), "kv_heads": (2, 2)}, "cosformer does not share"),
        ({"mixer": ("cosformer", "softmax"), "head_width": 24}, "cosformer needs heads that divide"),
        ({**XL, "mixer": ("window", "softmax")}, "relative positions go with softmax"),
        ({"cutoffs": (100,)}, "cutoffs without effect"),
        ({"cutoffs": (600, 100), "div_val": 2}, "they ascend"),
        ({"cutoffs": (100, 2_000), "div_val": 2}, "they ascend and stay below"),
        ({"cutoffs": 100, "div_val": 2}, "a list of whole numbers"),
        ({"cutoffs": (100,), "div_val": 2, "head": "untied"}, "tied or adaptive"),
        ({"norms": "layer"}, "missing or unknown choices: norms"),
    ],
)
def test_what_is_not_sound_is_refused_in_words(changed, said):
    with pytest.raises(InvalidArchitecture, match=said.replace("(", r"\(")):
        made(**changed)


def test_a_list_that_is_missing_and_an_architecture_of_another_space_are_refused():
    with pytest.raises(InvalidArchitecture, match="missing choices: inner"):
        SPACE.of(width=32, heads=(4,), vocabulary=2_000, context=32)
    with pytest.raises(InvalidArchitecture, match="missing or unknown"):
        SPACE.validate(Architecture.of("gpt_decoder", layers=2))
    with pytest.raises(InvalidArchitecture, match="rnn_cell"):
        SPACE.validate(Architecture.of("rnn_cell", layers=2))
    with pytest.raises(UnknownName):
        SPACE.count(made(), scale="huge")


def test_numbers_outside_the_ranges_are_accepted_encoded_and_mutated():
    odd = made(inner=(1_313, 77), width=40, heads=(5, 4))
    SPACE.validate(odd)
    codes = [SPACE.encode(a) for a in (odd, SPACE.preset("llama"), SPACE.sample(Random(0)))]
    assert len({len(c) for c in codes}) == 1
    assert all(-1 <= x <= 1 for c in codes for x in c)
    child = SPACE.mutate(odd, Random(0))
    assert child != odd
    SPACE.validate(child)
    deep = made(heads=(4,) * 60, inner=(8,) * 60)
    with pytest.raises(InvalidArchitecture, match="48 layers"):
        SPACE.encode(deep)


def test_simple_orders():
    shallow, deep = made(width=64), made(heads=(4, 4, 4), inner=(8, 8, 8))
    low, high = SPACE.baseline(shallow), SPACE.baseline(deep)
    assert low["layers_then_width"] < high["layers_then_width"]
    assert low["layers_times_width"] == 128 > high["layers_times_width"] == 96
    assert low["params_attention"] == 2 * (4 * 64 * 64 + 4 * 64)


# --- the reduced network ----------------------------------------------------------------------------


def test_wide_networks_are_halved_for_proxies_and_others_are_exact():
    llama = SPACE.count(SPACE.preset("llama"), scale="probe")
    assert llama["params_nonembedding"] == 32 * (4 * 512**2 + 3 * 512 * 1_376) + 65 * 512
    narrow = made(bias=False)
    kept = {k: SPACE.count(narrow)[k] for k in ("params_attention", "params_ffn")}
    assert {k: SPACE.count(narrow, scale="probe")[k] for k in kept} == kept
    halved, stuck = made(width=1_090, heads=(5, 5)), made(width=1_090, heads=(10, 10))  # 545 channels
    assert SPACE.count(halved, scale="probe")["params_ffn"] == 2 * 545 * (24 + 6)
    assert SPACE.count(stuck, scale="probe")["params_ffn"] == 2 * 1_090 * (48 + 13)


def test_clusters_of_the_reduced_vocabulary_keep_their_share_of_a_zipf_text():
    true, small = 267_736, 2_000
    cuts = (19_997, 39_997, 199_997)
    fewer = _gpt_rules.same_mass(cuts, true, small)

    def shares(ends, vocabulary):
        return [(math.log(c) + 0.5772) / (math.log(vocabulary) + 0.5772) for c in ends]

    assert shares(fewer, small) == pytest.approx(shares(cuts, true), abs=1e-3)
    tiny = _gpt_rules.same_mass((5, 6, 7, 8), true, 8)
    assert sorted({0, *tiny, 8}) == [0, *tiny, 8]
    arch = made(vocabulary=true, cutoffs=cuts, div_val=2, head="adaptive")
    stream = built(arch, "probe").stream()
    assert [t.words for t in stream.tables] == [19_997, 20_000, 160_000, 67_739]
    assert [t.num_embeddings for t in built(arch, "probe").embedding.tables] == [
        fewer[0],
        fewer[1] - fewer[0],
        fewer[2] - fewer[1],
        small - fewer[2],
    ]


# --- the networks -----------------------------------------------------------------------------------


def test_later_words_do_not_change_earlier_outputs(variant):
    net = built(variant).double().eval()
    one = tokens()
    other = one.clone()
    other[:, 20:] = (other[:, 20:] + 7) % 2_000
    with torch.no_grad():
        a, b = net(one), net(other)
    assert a.shape == (2, 32, 2_000)
    assert torch.allclose(a[:, :20], b[:, :20], atol=1e-10)
    assert not torch.allclose(a[:, 20:], b[:, 20:])


def test_building_draws_from_the_generator_alone(variant):
    luck = torch.random.get_rng_state()
    first, second = built(variant, seed=3), built(variant, seed=3)
    assert torch.equal(luck, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert all(bool(torch.isfinite(w).all()) for w in first.parameters())


def test_relative_scores_are_those_of_the_formula_written_as_loops():
    net = built(made(**XL, vocabulary=2_000)).double()
    attention = net.blocks[0].mixer
    luck = torch.Generator().manual_seed(5)
    for vector in (attention.content_bias, attention.distance_bias):
        torch.nn.init.normal_(vector, generator=luck)
    x = torch.randn(1, 6, 32, generator=luck, dtype=torch.float64)
    heads, d = 4, 8
    q, k, v = (f(x)[0].reshape(6, heads, d) for f in (attention.query, attention.key, attention.value))
    mixed = torch.zeros(6, heads, d, dtype=torch.float64)
    for i in range(6):
        for h in range(heads):
            scores = []
            for j in range(i + 1):
                speeds = [10_000 ** (-2 * m / 32) for m in range(16)]
                wave = [math.sin((i - j) * s) for s in speeds] + [math.cos((i - j) * s) for s in speeds]
                r = attention.distance(torch.tensor(wave, dtype=torch.float64)).reshape(heads, d)[h]
                content = (q[i, h] + attention.content_bias[h]) @ k[j, h]
                scores.append((content + (q[i, h] + attention.distance_bias[h]) @ r) / math.sqrt(d))
            mixed[i, h] = sum(w * v[j, h] for j, w in enumerate(torch.stack(scores).softmax(0)))
    expected = attention.output(mixed.flatten(1))
    assert torch.allclose(attention(x)[0], expected, atol=1e-10)


@pytest.mark.parametrize("name", [n for n in VARIANTS if "adaptive" in n or n == "transformer_xl"])
def test_an_adaptive_head_gives_probabilities(name):
    with torch.no_grad():
        found = built(made(**VARIANTS[name])).double()(tokens())
    assert torch.allclose(found.exp().sum(-1), torch.ones(2, 32, dtype=torch.float64))


def test_an_adaptive_head_is_the_product_of_cluster_and_word():
    net = built(made(**VARIANTS["adaptive"])).double()
    head, tables = net.adaptive, net.embedding.tables
    x = torch.randn(1, 1, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    narrow = head.own[0](x)
    top = torch.cat([narrow @ tables[0].weight.T, head.entries(narrow)], -1).softmax(-1)[0, 0]
    inside = (x @ net.embedding.projections[2].weight @ tables[2].weight.T).softmax(-1)[0, 0]
    assert len(top) == 102
    found = net.decode(x)[0, 0].exp()
    assert torch.allclose(found[:100], top[:100])
    assert torch.allclose(found[600:], top[101] * inside)


# --- published rows ---------------------------------------------------------------------------------

LTS_ROW = {
    "model": "gpt2",
    "n_layer": 2,
    "d_model": 64,
    "d_embed": 128,
    "n_head": [2, 8],
    "d_inner": [1_313, 700],
    "d_head": -1,
    "div_val": 4,
    "n_token": 50_264,
    "cutoffs": [19_997, 39_997, 199_997, 50_264],
    "tgt_len": 192,
}


def test_a_row_of_lite_transformer_search():
    arch = SPACE.from_lts(LTS_ROW)
    assert (arch.cutoffs, arch.head, arch.embedding) == ((19_997, 39_997), "adaptive", 128)
    assert (arch.inner, arch.head_width, arch.placement) == ((1_313, 700), "even", "pre")
    own = SPACE.from_lts(LTS_ROW | {"cutoffs": [59_997, 99_997, 639_997, 50_264], "d_embed": -1})
    assert (own.cutoffs, own.head, own.embedding) == ((), "adaptive_own", 64)
    alike = SPACE.from_lts(LTS_ROW | {"model": "transformer_xl", "n_head": 5, "d_inner": 200})
    assert (alike.heads, alike.inner) == ((5, 5), (200, 200))
    assert (alike.head_width, alike.position, alike.placement) == ("floor", "relative", "post")
    with pytest.raises(InvalidArchitecture, match="heads needs 2 values"):
        SPACE.from_lts(LTS_ROW | {"n_head": [2]})
    with pytest.raises(InvalidArchitecture, match="heads = 0"):
        SPACE.from_lts(LTS_ROW | {"n_head": [2, 0]})
    with pytest.raises(InvalidArchitecture, match="layers = 0"):
        SPACE.from_lts(LTS_ROW | {"n_layer": 0, "n_head": [], "d_inner": []})


def test_a_row_of_hw_gpt():
    row = {"embed_dim": 192, "n_layer": 2, "n_head": [4, 12], "mlp_ratio": [2, 4], "bias": 1}
    arch = SPACE.from_hw_gpt(row)
    assert (arch.inner, arch.head_width, arch.bias, arch.mlp) == ((384, 768), 64, True, "swiglu")


@pytest.mark.parametrize("scale", ["paper:vocabulary=300,context=40", "probe:vocabulary=300,context=40"])
@pytest.mark.parametrize("preset", ["gpt2", "transformer_xl"])
def test_a_scale_with_sizes_counts_what_it_builds(scale, preset):
    arch = GptDecoder.preset(preset)
    small = Architecture.of(arch.space, **{**dict(arch.choices), "layers": 1} | dict(_first_layer(arch)))
    space = GptDecoder()
    model = space.build(small, scale=scale)
    assert model.vocabulary == 300
    assert space.count(small, scale=scale)["params"] == sum(p.numel() for p in model.parameters())
    assert space.shape(scale).vocabulary == 300
    assert model(torch.tensor([[0, 299]])).shape == (1, 2, 300)


def _first_layer(arch):
    return {name: getattr(arch, name)[:1] for name in ("heads", "kv_heads", "inner", "mixer")}
