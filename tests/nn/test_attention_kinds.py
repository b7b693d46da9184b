"""Every token mixer, and the transformer around it, against formulas that our code did not make."""

import math

import numpy as np
import pytest
import scipy.fft
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from untrained.core.errors import InvalidArchitecture
from untrained.nn.attention import (
    CosformerAttention,
    FixedTransform,
    SoftmaxAttention,
    SpanConvolution,
    dct,
    rotated,
)
from untrained.nn.taps import Tape
from untrained.nn.transformer import Embedding, LayerShape, Transformer, TransformerShape

B, T, D, H = 2, 7, 12, 4
d = D // H


def luck(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(module, seed=0):
    """The module in double precision with random weights, biases included."""
    module, source = module.double().eval(), luck(seed)
    with torch.no_grad():
        for w in module.parameters():
            w.copy_(torch.randn(w.shape, generator=source, dtype=torch.float64) * 0.5)
    return module


def inputs(*shape, seed=1):
    return torch.randn(shape or (B, T, D), generator=luck(seed), dtype=torch.float64)


def split(x, width=d):
    """(B, T, heads * width) -> (B, heads, T, width), by slicing."""
    return torch.stack([x[..., i : i + width] for i in range(0, x.shape[-1], width)], 1)


def joined(x):
    return torch.cat(list(x.unbind(1)), -1)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


# --- softmax attention -------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
def test_softmax_attention_is_torchs(causal):
    ours, x = drawn(SoftmaxAttention(D, H, causal=causal)), inputs()
    q, k, v = (split(part(x)) for part in (ours.query, ours.key, ours.value))
    wanted = scaled_dot_product_attention(q, k, v, is_causal=causal)
    close(ours(x), ours.output(joined(wanted)))


def test_softmax_attention_is_multihead_attention_with_the_same_weights():
    ours, x = drawn(SoftmaxAttention(D, H)), inputs()
    theirs = nn.MultiheadAttention(D, H, batch_first=True).double().eval()
    copy_attention(ours, theirs)
    tape = Tape(["attention"])
    mixed, weights = theirs(x, x, x, average_attn_weights=False)
    close(ours(x, tape, 0), mixed)
    close(tape["attention"][0][0], weights)


def copy_attention(ours, theirs):
    parts = ours.query, ours.key, ours.value
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_query_heads_share_keys_and_values_in_neighbouring_groups(kv_heads):
    ours, x = drawn(SoftmaxAttention(D, H, kv_heads=kv_heads, head_width=5)), inputs()
    assert ours.key.out_features == 5 * kv_heads
    q, k, v = (split(part(x), 5) for part in (ours.query, ours.key, ours.value))
    wanted = scaled_dot_product_attention(q, k, v, enable_gqa=True)
    close(ours(x), ours.output(joined(wanted)))


def test_multiplicative_attention_is_attention_with_the_product_of_two_query_matrices():
    ours, plain, x = (
        drawn(SoftmaxAttention(D, H, multiplicative=True)),
        SoftmaxAttention(D, H).double(),
        inputs(),
    )
    assert [tuple(w.shape) for w in ours.multiply.parameters()] == [(D, D)]  # over all heads, no bias
    state = {k: v for k, v in ours.state_dict().items() if not k.startswith("multiply")}
    state["query.weight"] = ours.multiply.weight @ ours.query.weight
    state["query.bias"] = ours.multiply.weight @ ours.query.bias
    plain.load_state_dict(state)
    close(ours(x), plain(x))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("span", [1, 3, 50])
def test_a_window_sees_its_span_and_nothing_else(causal, span):
    ours, tape, x = drawn(SoftmaxAttention(D, H, causal=causal, span=span)), Tape(["attention"]), inputs()
    ours(x, tape, 0)
    seen = tape["attention"][0][0]
    q, k = split(ours.query(x)), split(ours.key(x))
    for i in range(T):
        ends = range(max(0, i - span + 1), i + 1) if causal else range(max(0, i - span + 1), min(T, i + span))
        scores = torch.stack([(q[:, :, i] * k[:, :, j]).sum(-1) / math.sqrt(d) for j in ends], -1)
        wanted = torch.zeros(B, H, T, dtype=torch.float64)
        wanted[..., list(ends)] = scores.exp() / scores.exp().sum(-1, keepdim=True)
        close(seen[:, :, i], wanted)


@pytest.mark.parametrize("width", [4, 5, 6])
def test_rotary_positions_are_a_turn_of_complex_numbers(width):
    x = inputs(B, H, T, width)
    half = width // 2
    as_complex = torch.complex(x[..., :half], x[..., half : 2 * half])
    speed = torch.tensor([10_000.0 ** (-2 * i / (2 * half)) for i in range(half)], dtype=torch.float64)
    turned = as_complex * torch.exp(1j * torch.arange(T)[:, None] * speed)
    close(rotated(x), torch.cat([turned.real, turned.imag, x[..., 2 * half :]], -1))


def test_rotary_scores_depend_on_the_distance_alone():
    same = inputs(1, 1, 1, 8).expand(1, 1, T, 8)
    scores = rotated(same) @ rotated(same).transpose(-1, -2)
    for shift in range(T):
        line = scores[0, 0].diagonal(shift)
        close(line, line[:1].expand_as(line))
    ours = drawn(SoftmaxAttention(D, 2, rotary=True))
    x = inputs()
    q, k, v = (split(part(x), 6) for part in (ours.query, ours.key, ours.value))
    close(ours(x), ours.output(joined(scaled_dot_product_attention(rotated(q), rotated(k), v))))


# --- the others --------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
def test_linear_attention_is_its_square_form(causal):
    ours, x = drawn(CosformerAttention(D, H, causal=causal)), inputs()
    q, k, v = (split(part(x)) for part in (ours.query, ours.key, ours.value))
    at = torch.arange(T, dtype=torch.float64)
    fall = torch.cos(math.pi / 2 * (at[:, None] - at) / T)
    weights = (q.relu() @ k.relu().transpose(-1, -2)) * fall
    weights = weights.tril() if causal else weights
    mixed = weights @ v / weights.sum(-1, keepdim=True).clamp(min=1e-6)
    close(ours(x), ours.output(joined(mixed)))


@pytest.mark.parametrize("kind", ["dft", "dct"])
def test_fixed_transforms_are_numpys_and_scipys(kind):
    ours, x = drawn(FixedTransform(D, H, kind)), inputs()
    h = split(ours.input(x)).detach().numpy()
    if kind == "dft":
        wanted = np.fft.fft2(h).real / math.sqrt(T * d)
    else:
        wanted = scipy.fft.dctn(h, type=2, axes=(-2, -1), norm="ortho")
    close(ours(x), ours.output(joined(torch.from_numpy(wanted))))


def test_the_cosine_transform_keeps_lengths():
    x = inputs(5, 9)
    close(dct(x).norm(dim=-1), x.norm(dim=-1))
    close(dct(x), torch.from_numpy(scipy.fft.dct(x.numpy(), type=2, norm="ortho")))


@pytest.mark.parametrize(("heads", "kernel"), [(2, 5), (4, 3), (4, 9)])
def test_span_convolution_is_written_out(heads, kernel):
    """ConvBERT's equations in loops over positions, heads and places of the kernel."""
    ours, x = drawn(SpanConvolution(D, heads, kernel)), inputs()
    width, half = D // heads, heads // 2
    q, k, v = ours.query(x), ours.key(x), ours.value(x)
    attended = joined(scaled_dot_product_attention(split(q, width), split(k, width), split(v, width)))
    values, side = ours.convolved(x), kernel // 2
    mixed = torch.zeros(B, T, D // 2, dtype=torch.float64)
    for t in range(T):
        near = torch.zeros(B, D, dtype=torch.float64)
        for j in range(kernel):
            if 0 <= t + j - side < T:
                near += x[:, t + j - side] * ours.depthwise.weight[:, 0, j]
        raw = ours.kernels(ours.pointwise(near) * q[:, t])
        for head in range(half):
            places = torch.softmax(raw[:, head * kernel : (head + 1) * kernel], -1)
            own = slice(head * width, (head + 1) * width)
            for j in range(kernel):
                if 0 <= t + j - side < T:
                    mixed[:, t, own] += places[:, j, None] * values[:, t + j - side, own]
    close(ours(x), ours.output(torch.cat([attended, mixed], -1)))


# --- the whole ---------------------------------------------------------------------------------------


def shape(*mixers, **changed):
    layers = tuple(LayerShape(mixer, heads=4, inner=(10, 14), kernel=5, span=3) for mixer in mixers)
    return TransformerShape(**{"width": D, "layers": layers, "vocabulary": 30, "positions": T, **changed})


@pytest.mark.parametrize("position", ["learned", "rotary"])
@pytest.mark.parametrize("mixer", ["softmax", "window", "multiplicative", "cosformer"])
def test_a_decoder_does_not_look_ahead(mixer, position):
    model = Transformer(shape(mixer, mixer, position=position, init="fan_in"), luck()).double()
    tokens = torch.randint(30, (B, T), generator=luck())
    changed = tokens.clone()
    changed[:, 4] = (tokens[:, 4] + 1) % 30
    before, after = model(tokens), model(changed)
    close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


@pytest.mark.parametrize("mixer", ["softmax", "multiplicative", "cosformer", "dft", "dct", "convolution"])
def test_every_position_of_an_encoder_hears_of_the_last(mixer):
    model = Transformer(shape(mixer, causal=False, pre=False, init="fan_in"), luck()).double()
    tokens = torch.randint(30, (B, T), generator=luck())
    changed = tokens.clone()
    changed[:, -1] = (tokens[:, -1] + 1) % 30
    assert bool((model(tokens) - model(changed)).abs().amax((0, 2)).gt(1e-9).all())


@pytest.mark.parametrize("mixer", ["dft", "dct", "convolution"])
def test_what_sees_later_positions_cannot_stand_in_a_decoder(mixer):
    with pytest.raises(InvalidArchitecture, match="decoder"):
        Transformer(shape(mixer))


@pytest.mark.parametrize("pre", [True, False])
def test_a_block_is_torchs_encoder_layer_with_the_same_weights(pre):
    layer = LayerShape(heads=H, inner=(20,))
    whole = TransformerShape(D, (layer,), 30, causal=False, pre=pre)
    ours = drawn(Transformer(whole).blocks[0])
    theirs = nn.TransformerEncoderLayer(
        D, H, 20, dropout=0.0, activation="gelu", batch_first=True, norm_first=pre
    )
    theirs = theirs.double().eval()
    copy_attention(ours.mixer, theirs.self_attn)
    pairs = (
        (theirs.linear1, ours.ffn.up[0]),
        (theirs.linear2, ours.ffn.down),
        (theirs.norm1, ours.mixer_norm),
        (theirs.norm2, ours.ffn_norm),
    )
    for their, our in pairs:
        their.load_state_dict(our.state_dict())
    x = inputs()
    close(ours(x), theirs(x))


@pytest.mark.parametrize("pre", [True, False])
@pytest.mark.parametrize("narrow", [True, False])
def test_positions_and_norms_stand_where_the_shape_says(pre, narrow):
    whole = shape("softmax", "dct", causal=False, pre=pre, narrow_positions=narrow, embedding=6)
    model = drawn(Transformer(whole))
    tokens = torch.randint(30, (B, T), generator=luck())
    words, project = model.embedding.tables[0].weight[tokens], model.embedding.projections[0]
    if narrow:
        x = words + model.positions.weight[:T]
        x = project(x if pre else model.norm(x))
    else:
        x = project(words) + model.positions.weight[:T]
        x = x if pre else model.norm(x)
    for block in model.blocks:
        x = block(x)
    x = model.norm(x) if pre else x
    close(model.encode(model.embed(tokens)), x)
    close(model(tokens), x @ project.weight @ model.embedding.tables[0].weight.T)


def test_an_adaptive_embedding_looks_words_up_one_by_one():
    clusters = ((4, 8), (10, 4), (16, 2))
    embedding = drawn(Embedding(shape("softmax", clusters=clusters)))
    tokens = torch.randint(30, (B, T), generator=luck())
    wanted = torch.empty(B, T, D, dtype=torch.float64)
    vectors = []
    for table, project in zip(embedding.tables, embedding.projections, strict=True):
        vectors += [project.weight @ row for row in table.weight]
    for b in range(B):
        for t in range(T):
            wanted[b, t] = vectors[tokens[b, t]]
    close(embedding(tokens), wanted)
    close(embedding.logits(inputs()), inputs() @ torch.stack(vectors).T)


@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_decoder_is_the_embedding(tied):
    model = drawn(Transformer(shape("softmax", tied=tied)))
    features = inputs()
    table = model.embedding.tables[0].weight if tied else model.head.weight
    close(model.decode(features), features @ table.T)
    assert (model.head is None) == tied
    outside = {id(w) for w in model.embedding_parameters()}
    assert id(table) in outside
    assert not outside & {id(w) for w in model.saliency_weights()}


def test_taps_have_the_shapes_that_they_say():
    kinds = ("softmax", "multiplicative", "dft", "dct", "convolution", "cosformer")
    model = Transformer(shape(*kinds, causal=False), luck())
    tape = Tape(model.roles)
    out = model.encode(model.embed(torch.zeros(B, T, dtype=torch.long)), tape)
    assert [tuple(t.shape) for layer in tape["block"] for t in layer] == [(B, T, D)] * 6
    assert [tuple(t.shape) for layer in tape["mix"] for t in layer] == [(B, T, D)] * 6
    for role in ("preactivation", "ffn"):
        assert [[t.shape[-1] for t in layer] for layer in tape[role]] == [[10, 14]] * 6
    heads = [tuple(t.shape) for layer in tape["attention"] for t in layer]
    assert heads == [(B, 4, T, T), (B, 4, T, T), (B, 2, T, T)]  # half of the convolution's heads attend
    for layer in tape["attention"]:
        close(layer[0].sum(-1), torch.ones(layer[0].shape[:-1]), 1e-5)
    close(model.norm(tape["block"][-1][0]), out)  # pre-norm: the stream is normed at the end


def test_swiglu_gates_each_hidden_layer():
    model = drawn(Transformer(shape("softmax", mlp="swiglu")))
    ffn, x = model.blocks[0].ffn, inputs()
    h = x
    for gate, up in zip(ffn.gate, ffn.up, strict=True):
        a = gate(h)
        h = a / (1 + torch.exp(-a)) * up(h)
    close(ffn(x), ffn.down(h))


@pytest.mark.parametrize("init", ["normal", "fan_in"])
def test_weights_come_from_the_generator_and_have_the_spread_of_their_kind(init):
    before = torch.random.get_rng_state()
    model = Transformer(
        shape("convolution", width=64, vocabulary=500, positions=200, causal=False, init=init), luck()
    )
    again = Transformer(model.shape, luck())
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    normal = init == "normal"
    spreads = {
        model.embedding.tables[0]: 0.02 if normal else 1.0,
        model.positions: 0.02 if normal else 0.3,
        model.blocks[0].mixer.output: 0.02 if normal else 1 / 8,
        model.blocks[0].mixer.depthwise: 0.02 if normal else 5**-0.5,
    }
    for module, wanted in spreads.items():
        assert float(module.weight.detach().std()) == pytest.approx(wanted, rel=0.15)
    assert not any(
        bool(m.bias.any()) for m in model.modules() if isinstance(m, nn.Linear) and m.bias is not None
    )
    assert all(bool((m.weight == 1).all()) for m in model.modules() if isinstance(m, nn.LayerNorm))


# --- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SoftmaxAttention(12, 5), "5 heads do not divide a width of 12"),
        (lambda: SoftmaxAttention(12, 0), "0 query heads"),
        (lambda: SoftmaxAttention(12, 4, kv_heads=3), "4 query heads cannot share 3"),
        (lambda: SoftmaxAttention(12, 4, kv_heads=0), "cannot share 0"),
        (lambda: SoftmaxAttention(12, 4, span=0), "a window of 0"),
        (lambda: SpanConvolution(12, 3, 5), "even number"),
        (lambda: SpanConvolution(12, 4, 4), "no middle"),
        (lambda: shape(), "at least one layer"),
        (lambda: shape("sofmax"), "no mixer is called 'sofmax'"),
        (lambda: shape("softmax", norm="batch"), "no norm"),
        (lambda: shape("softmax", mlp="tanh"), "no MLP"),
        (lambda: shape("softmax", position="alibi"), "no position"),
        (lambda: shape("softmax", init="zeros"), "no initialisation"),
        (lambda: TransformerShape(12, (LayerShape(inner=()),), 30), "feed-forward widths"),
        (lambda: shape("softmax", narrow_positions=True, clusters=((30, 12),)), "one embedding table"),
    ],
)
def test_what_cannot_be_built_is_said(make, said):
    with pytest.raises(InvalidArchitecture, match=said):
        make()


def test_a_sequence_longer_than_the_positions_is_refused():
    model = Transformer(shape("softmax"), luck())
    with pytest.raises(InvalidArchitecture, match=f"8 tokens, but the model has {T} positions"):
        model(torch.zeros(1, T + 1, dtype=torch.long))


@pytest.mark.parametrize("length", [5, 64, 65, 200])
def test_cosformer_in_spans_is_the_running_sum_of_its_formula(length):
    """Against the formula written out: one matrix for every position, summed up from the left."""
    from untrained.nn.attention import _running

    luck = torch.Generator().manual_seed(0)
    q, k = torch.rand(2, 2, 3, length, 8, dtype=torch.float64, generator=luck)
    v = torch.randn(2, 3, length, 4, dtype=torch.float64, generator=luck)
    mixed, total = _running(q, k, v)
    sums = torch.einsum("bhtd,bhte->bhtde", k, v).cumsum(2)
    torch.testing.assert_close(mixed, torch.einsum("bhtd,bhtde->bhte", q, sums))
    torch.testing.assert_close(total, (q * k.cumsum(2)).sum(-1, keepdim=True))


@pytest.mark.parametrize("position", ["learned", "rotary"])
def test_a_projected_word_enters_at_the_scale_of_its_table(position):
    """Else its position would drown it: at a tenth of it, networks do not begin to learn."""
    shape = TransformerShape(
        width=64,
        layers=(LayerShape("softmax", 2, inner=(64,)),),
        vocabulary=500,
        positions=16,
        embedding=16,
        position=position,
    )
    model = Transformer(shape, torch.Generator().manual_seed(0))
    words = model.embed(torch.arange(500)[None])
    assert float(words.detach().std()) == pytest.approx(0.02, rel=0.15)
