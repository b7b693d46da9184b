"""Adapters against the models' own outputs: what a tap shows is what the model computed."""

from __future__ import annotations

import copy
import math
import re

import pytest
import torch
from torch import nn

from untrained.core import registry
from untrained.core.errors import MeasurementFailed, MissingRole, UsageError
from untrained.core.metric import metric
from untrained.nn.adapters import adapt
from untrained.nn.batch import Batch
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe
from untrained.nn.recurrent import RecurrentLM
from untrained.nn.stream import Stream, WordTable
from untrained.nn.taps import Tape
from untrained.nn.transformer import LayerShape, Transformer, TransformerShape
from untrained.spaces.rnn_cell import RnnCell

transformers = pytest.importorskip("transformers")

COMMON = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
SHARED = {**COMMON, "num_key_value_heads": 2}
GPT2 = {"vocab_size": 97, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_inner": 48, "n_positions": 40}
IDS = {"bos_token_id": 1, "eos_token_id": 2}
CONFIGS = {
    "bert": ("BertConfig", COMMON),
    "roberta": ("RobertaConfig", COMMON),
    "electra": ("ElectraConfig", {**COMMON, "embedding_size": 16}),
    "gpt2": ("GPT2Config", GPT2 | IDS),
    "llama": ("LlamaConfig", SHARED),
    "mistral": ("MistralConfig", SHARED),
    "qwen2": ("Qwen2Config", SHARED),
    "qwen3": ("Qwen3Config", {**SHARED, "head_dim": 16}),
    "gpt_neox": ("GPTNeoXConfig", COMMON | IDS),
}
ENCODERS = {"bert", "roberta", "electra"}


def config(family):
    name, options = CONFIGS[family]
    return getattr(transformers, name)(**options)


def model(family, bare=False):
    kind = "AutoModel" if bare else f"AutoModelFor{'MaskedLM' if family in ENCODERS else 'CausalLM'}"
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = getattr(transformers, kind).from_config(config(family))
        with torch.no_grad():  # biases and norms away from 0 and 1, which could hide a mistake
            for w in made.parameters():
                w.add_(0.05 * torch.randn(w.shape))
    return made


@pytest.fixture(autouse=True)
def one_thread():
    """Several only wait for each other on networks this small, seconds long where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokens():
    # From 5 on: RoBERTa's own forward takes id 1 for padding.
    return torch.randint(5, 97, (3, 11), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("family", CONFIGS)
def test_logits_states_and_attention_are_the_models_own(family, tokens):
    theirs = model(family).eval()
    ours = adapt(theirs)
    tape = Tape(ours.roles)
    top = ours.encode(ours.embed(tokens), tape)
    reference = copy.deepcopy(theirs)
    reference.set_attn_implementation("eager")
    want = reference(input_ids=tokens, output_attentions=True, output_hidden_states=True)
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(ours(tokens), want.logits, **close)
    torch.testing.assert_close(ours.decode(top), want.logits, **close)
    torch.testing.assert_close(top, want.hidden_states[-1], **close)
    for role in ours.roles:
        assert [len(layer) for layer in tape[role]] == [1, 1, 1], role
    for (seen,), attention in zip(tape["attention"], want.attentions, strict=True):
        torch.testing.assert_close(seen, attention, **close)
    # The last of theirs is behind the final norm, where there is one.
    for (seen,), state in zip(tape["block"][:-1], want.hidden_states[1:-1], strict=True):
        torch.testing.assert_close(seen, state, **close)


@pytest.mark.parametrize("family", CONFIGS)
def test_preactivation_and_ffn_stand_on_both_sides_of_the_nonlinearity(family, tokens):
    ours = adapt(model(family))
    tape = Tape(("preactivation", "ffn"))
    ours.encode(ours.embed(tokens), tape)
    act = {"gelu": nn.functional.gelu, "gelu_new": lambda x: nn.functional.gelu(x, approximate="tanh")}
    for (before,), (after,) in zip(tape["preactivation"], tape["ffn"], strict=True):
        assert before.shape == after.shape == (3, 11, 48)
        if ours.family.gate.endswith("gate_proj"):
            # silu(gate) * up: where the gate is large and negative nothing passes
            assert torch.equal((nn.functional.silu(before) == 0), (nn.functional.silu(before) * after == 0))
        else:
            kind = "gelu_new" if family == "gpt2" else "gelu"
            torch.testing.assert_close(act[kind](before), after, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral", "qwen2", "qwen3"])
def test_mix_and_feed_forward_add_up_to_the_block(family, tokens):
    ours = adapt(model(family))
    tape = Tape(("mix", "ffn", "block"))
    stream = ours.embed(tokens)
    ours.encode(stream, tape)
    for i in range(1, 3):
        down = ours.base.get_submodule(f"{ours.family.layers}.{i}.{ours.family.down}")
        built = tape["block"][i - 1][0] + tape["mix"][i][0] + down(tape["ffn"][i][0])
        torch.testing.assert_close(built, tape["block"][i][0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", CONFIGS)
def test_the_model_that_was_handed_in_is_untouched(family, tokens):
    theirs = model(family).train()
    before = {k: v.clone() for k, v in theirs.state_dict().items()}
    implementation, luck = theirs.config._attn_implementation, torch.random.get_rng_state()
    ours = adapt(theirs)
    probe = Probe(ours, Batch(tokens[:, :-1], tokens[:, 1:]))
    for name in ("jacobian_covariance", "synaptic_diversity", "flops", "grad_norm"):
        assert metric(name)(probe).ok
    assert theirs.training
    assert all(m.training for m in theirs.modules())
    assert theirs.config._attn_implementation == implementation
    assert all(torch.equal(before[k], v) for k, v in theirs.state_dict().items())
    assert all(w.grad is None for w in theirs.parameters())
    assert torch.equal(luck, torch.random.get_rng_state())
    for each in (theirs, ours):
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in each.modules())
    assert {id(w) for w in ours.parameters()} == {id(w) for w in theirs.parameters()}, "weights are shared"


def test_hooks_are_gone_after_a_forward_that_raises(tokens):
    ours = adapt(model("llama"))
    with pytest.raises(RuntimeError):
        ours.encode(torch.zeros(3, 11, 5), Tape(ours.roles))
    assert not any(m._forward_hooks for m in ours.modules())


@pytest.mark.parametrize("family", CONFIGS)
def test_parameters_are_counted_as_the_model_counts_them(family, tokens):
    theirs = model(family)
    probe = Probe(adapt(theirs), Batch(tokens, tokens))
    assert metric("params")(probe).value == theirs.num_parameters()
    inside = metric("params_nonembedding")(probe).value
    body = [w for name, w in theirs.named_parameters() if ".layer" in name or ".h." in name]
    layers = sum(w.numel() for w in body)
    # Beside the layers there are norms alone, two at most.
    assert 0 <= inside - layers <= 2 * 2 * 32
    matrices = {id(w) for w in probe.weights()}
    assert matrices == {id(w) for w in body if w.dim() == 2}
    mixers = {id(w) for w in probe.mixer_weights()}
    assert mixers
    assert mixers < matrices


def test_gradients_reach_what_the_taps_show(tokens):
    for family in CONFIGS:
        probe = Probe(adapt(model(family)), Batch(tokens[:, :-1], tokens[:, 1:]))
        for role in ("attention", "mix", "preactivation", "ffn", "block"):
            for (gradient,) in probe.tap_gradients(role):
                assert float(gradient.abs().sum()) > 0, (family, role)


OTHERS = {
    "encoder": lambda: torch_encoder(32, 48),
    "headless": lambda: model("gpt2", bare=True),
    "lstm": lambda: nn.LSTM(32, 32, 2),
    "gru": lambda: nn.GRU(32, 32),
    "rnn": lambda: nn.RNN(32, 32, bidirectional=True),
}


def torch_encoder(width, inner):
    layer = nn.TransformerEncoderLayer(width, 4, inner, norm_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def failures(network):
    """Reasons by name of the proxies that have no number for a network."""
    ids = torch.randint(5, 97, (6, 31), generator=torch.Generator().manual_seed(1))
    batch = Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
    reasons = {}
    with quiet_numbers():
        for name in registry.names("proxy"):
            found = metric(name)(Probe(network, batch).expect(metric(name).needs))
            if found.ok:
                assert math.isfinite(found.value), name
            else:
                reasons[name] = found.reason
    return reasons


@pytest.fixture(scope="module")
def own():
    """What fails on networks of ours: a transformer, and a recurrent one."""
    luck = torch.Generator().manual_seed(2)
    transformer = Transformer(TransformerShape(32, (LayerShape(heads=4, inner=(48,)),) * 3, 97), luck)
    space = RnnCell()
    cell = space.build(space.classic("lstm"), scale="probe", generator=luck)
    return {"transformer": set(failures(transformer.eval())), "recurrent": set(failures(cell.eval()))}


@pytest.mark.parametrize("family", [*CONFIGS, *OTHERS])
def test_every_proxy_has_a_number_or_names_what_is_missing(family, own):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        theirs = OTHERS[family]() if family in OTHERS else model(family)
    ours = adapt(theirs, vocabulary=97, generator=torch.Generator().manual_seed(1))
    before = {k: v.clone() for k, v in ours.state_dict().items()}
    found = failures(ours)
    kind = "recurrent" if isinstance(theirs, nn.RNNBase) else "transformer"
    more = {name for name in set(found) - own[kind] if "no tap called 'logits'" in found[name]}
    assert set(found) == own[kind] | more, "other proxies than for a network of ours have no number"
    assert bool(more) == (family in OTHERS)
    for name, reason in found.items():
        assert re.search(
            "tap called|does not say|no method|no token mixer|ask for that|no pretrained parent", reason
        ), reason
        assert reason.startswith(f"{name}: "), reason
    assert all(torch.equal(before[k], v) for k, v in ours.state_dict().items())


def test_parts_of_the_layers_by_hand():
    def parts(ours):
        found = metric("decoder_params")(Probe(ours, Batch(*torch.zeros(2, 1, 2).long())))
        return found.parts["attention"], found.parts["feed_forward"]

    square, feed = 32 * 32, 32 * 48
    plain = (4 * (square + 32), 2 * feed + 48 + 32)
    assert parts(adapt(torch_encoder(32, 48), vocabulary=97)) == tuple(2 * n for n in plain)
    assert parts(adapt(model("gpt2"))) == tuple(3 * n for n in plain)
    assert parts(adapt(model("bert"))) == tuple(3 * n for n in plain)
    # Of 4 heads of 8 channels keys and values have 2; Qwen3's are 16 wide, and its norms do not count.
    assert parts(adapt(model("llama"))) == (3 * 3 * square, 3 * 3 * feed)
    assert parts(adapt(model("qwen3"))) == (3 * 6 * square, 3 * 3 * feed)


def test_dss_reads_the_maps_of_gpt2_which_keeps_them_turned():
    theirs = model("gpt2").double()
    found = metric("dss")(Probe(adapt(theirs), Batch(*torch.full((2, 1, 9), 7))))
    with torch.no_grad():
        for w in theirs.parameters():
            w.abs_()
    ones = torch.ones(1, 9, 32, dtype=torch.float64)
    theirs.eval()(inputs_embeds=ones).logits.sum().backward()
    total = 0.0
    for block in theirs.transformer.h:
        for linear in (block.attn.c_attn, block.attn.c_proj):
            w, g = (torch.linalg.svdvals(t.detach()).sum() for t in (linear.weight, linear.weight.grad))
            total += float(w * g)
        for linear in (block.mlp.c_fc, block.mlp.c_proj):
            total += float((linear.weight.detach() * linear.weight.grad).abs().sum())
    assert found.value == pytest.approx(total, rel=1e-9)


def test_stream_says_the_shape():
    assert adapt(model("llama")).stream() == Stream(3, 32, (WordTable(97, 32),), projected=False)
    assert adapt(model("electra")).stream() == Stream(3, 32, (WordTable(97, 16),), projected=True)


@pytest.mark.parametrize("family", ["bert", "electra", "gpt2", "llama"])
def test_a_model_without_a_head_has_states_and_no_logits(family, tokens):
    theirs = model(family, bare=True).eval()
    ours = adapt(theirs)
    torch.testing.assert_close(ours(tokens), theirs(input_ids=tokens).last_hidden_state, rtol=1e-5, atol=1e-5)
    with pytest.raises(MissingRole, match="logits"):
        ours.decode(ours(tokens))


@pytest.mark.parametrize(
    ("family", "longest"), [("bert", 40), ("roberta", 38), ("electra", 40), ("gpt2", 40)]
)
def test_a_sequence_longer_than_the_positions(family, longest):
    ours = adapt(model(family))
    assert ours(torch.full((1, longest), 7)).shape == (1, longest, 97)
    with pytest.raises(
        MeasurementFailed, match=f"{longest + 1} tokens, but the model has {longest} positions"
    ):
        ours(torch.full((1, longest + 1), 7))


# --- half precision ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_measured_in_float32(dtype, tokens):
    theirs = model("llama").to(dtype)
    ours = adapt(theirs)
    assert {w.dtype for w in ours.parameters()} == {torch.float32}
    assert {w.dtype for w in theirs.parameters()} == {dtype}
    assert sum(w.numel() for w in ours.parameters()) == theirs.num_parameters()


def test_what_overflows_in_float16_has_a_number_in_float32(tokens):
    theirs = model("llama").half()
    with torch.no_grad():
        for layer in theirs.model.layers:
            layer.mlp.gate_proj.weight.mul_(1e3)
            layer.mlp.up_proj.weight.mul_(1e3)
    assert not torch.isfinite(theirs(input_ids=tokens).logits).all()
    assert metric("jacobian_covariance")(Probe(adapt(theirs), Batch(tokens, tokens))).ok


def test_weights_that_overflowed_have_no_number_but_a_reason(tokens):
    theirs = model("llama").half()
    with torch.no_grad():
        theirs.model.layers[0].mlp.down_proj.weight.mul_(6e4).mul_(6e4)
    found = metric("jacobian_covariance")(Probe(adapt(theirs), Batch(tokens, tokens)))
    assert not found.ok
    assert "explodes" in found.reason


# --- torch's own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_torch_encoder(first, batch_first, bias, tokens):
    layer = nn.TransformerEncoderLayer(
        16, 4, 24, activation="gelu", norm_first=first, batch_first=batch_first, bias=bias
    )
    theirs = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(16), enable_nested_tensor=False)
    ours = adapt(theirs, vocabulary=97, generator=torch.Generator().manual_seed(1))
    assert theirs.training
    tape = Tape(ours.roles)
    top = ours.encode(ours.embed(tokens), tape)
    from untrained.nn.adapters.torch_encoder import sinusoids

    given = ours.embed(tokens) + sinusoids(11, 16)
    theirs.eval()
    want = theirs(given) if batch_first else theirs(given.transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(top, want, rtol=1e-5, atol=1e-5)
    attention = tape["attention"][0][0]
    inside = theirs.layers[0]
    x = inside.norm1(given) if first else given
    x = x if batch_first else x.transpose(0, 1)
    _, weights = inside.self_attn(x, x, x, average_attn_weights=False)
    torch.testing.assert_close(attention, weights, rtol=1e-5, atol=1e-6)
    assert {role: len(tape[role]) for role in ours.roles} == dict.fromkeys(ours.roles, 2)
    assert sum(w.numel() for w in ours.parameters()) == sum(w.numel() for w in theirs.parameters())
    for role in ours.roles:
        probe = Probe(ours, Batch(tokens, tokens))
        grads = probe.tap_gradients(role, of="sum")
        assert len(grads) == 2


def test_torch_encoder_of_ones_own_layers_is_refused():
    class Mine(nn.TransformerEncoderLayer):
        pass

    encoder = nn.TransformerEncoder(Mine(16, 4, 24), 2, enable_nested_tensor=False)
    with pytest.raises(UsageError, match="layers of the kind Mine"):
        adapt(encoder)


def test_recurrent_modules_and_those_with_stages():
    assert isinstance(adapt(nn.LSTM(8, 8)), RecurrentLM)
    assert isinstance(adapt(nn.GRU(8, 8).half()), RecurrentLM)
    ready = adapt(nn.RNN(8, 8))
    assert adapt(ready) is ready


def test_an_unknown_module_is_told_what_it_lacks():
    with pytest.raises(UsageError) as error:
        adapt(nn.Linear(3, 3))
    said = str(error.value)
    assert "no adapter for Linear" in said
    assert "embed, encode" in said
    assert "nn.LSTM" in said
    assert "qwen3" in said
    assert "tape.add(role, layer, tensor)" in said


def test_an_unknown_family_of_models_is_told_the_known_ones():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "ffn_dim": 16, "num_attention_heads": 2}
    small = transformers.OPTConfig(vocab_size=50, word_embed_proj_dim=16, **sizes)
    with pytest.raises(UsageError, match="no adapter for OPTModel"):
        adapt(transformers.OPTModel(small))
