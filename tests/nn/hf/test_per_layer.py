"""Decoders whose layers differ: saved, loaded, trained, equal to a stock model with parts switched off."""

from __future__ import annotations

import json

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from untrained.core.errors import UsageError
from untrained.nn.hf import LayerSize, build, per_layer, sizes

transformers = pytest.importorskip("transformers")
WIDTH, HEADS, INNER, LAYERS = 48, 6, 40, 3
COMMON = {"vocab_size": 61, "max_position_embeddings": 64, "bos_token_id": None, "eos_token_id": None}
LLAMA = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
}
FAMILIES = {
    "llama": lambda: transformers.LlamaConfig(**COMMON, **LLAMA, num_key_value_heads=3),
    "mistral": lambda: transformers.MistralConfig(**COMMON, **LLAMA, num_key_value_heads=3, sliding_window=6),
    "qwen2": lambda: transformers.Qwen2Config(**COMMON, **LLAMA, num_key_value_heads=3),
    "qwen3": lambda: transformers.Qwen3Config(
        **COMMON, **LLAMA, num_key_value_heads=3, head_dim=16, tie_word_embeddings=True
    ),
    "gpt2": lambda: transformers.GPT2Config(**COMMON, **LLAMA | {"n_inner": INNER}),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**COMMON, **LLAMA),
}
SHARED = {"llama", "mistral", "qwen2", "qwen3"}  # have key/value heads of their own number


def layers(kind: str) -> list[LayerSize]:
    """Groups of two query heads are kept or dropped whole, where key/value heads are shared."""
    if kind in SHARED:
        return [LayerSize(4, 2, 24), LayerSize(2, 1, INNER), LayerSize(6, 3, 7)]
    return [LayerSize(5, 5, 24), LayerSize(1, 1, INNER), LayerSize(6, 6, 7)]


@pytest.fixture(params=FAMILIES)
def kind(request):
    torch.manual_seed(0)
    return request.param


@pytest.fixture
def model(kind):
    return build(per_layer(FAMILIES[kind](), layers(kind))).eval()


def tokens():
    return torch.randint(1, 61, (2, 9), generator=torch.Generator().manual_seed(1))


def test_sizes_are_those_asked_for_and_those_of_the_weights(kind, model):
    assert sizes(model.config) == tuple(layers(kind))
    lost = {k: v.numel() for k, v in build(FAMILIES[kind]()).named_parameters()}
    for name, weight in model.named_parameters():
        lost[name] -= weight.numel()
    # Worked by hand: a head costs its columns and rows of the projections, a channel of the MLP its own.
    head = 16 if kind == "qwen3" else WIDTH // HEADS
    matrices = 3 if kind in SHARED else 2
    biases = {"qwen2": 1, "gpt2": 3, "gpt_neox": 3}.get(kind, 0)
    expected = 0
    for size in layers(kind):
        dropped = HEADS - size.heads
        if kind in SHARED:
            shared = 3 - size.kv_heads
            expected += head * WIDTH * 2 * (dropped + shared) + biases * head * (dropped + 2 * shared)
        else:
            expected += dropped * head * (WIDTH * 4 + biases)
        expected += (INNER - size.inner) * (matrices * WIDTH + (kind not in SHARED))
    assert sum(lost.values()) == expected


def test_saved_and_loaded_it_gives_the_same_logits(kind, model, tmp_path):
    with torch.no_grad():
        before = model(tokens()).logits
    model.save_pretrained(tmp_path)
    record = json.loads((tmp_path / "config.json").read_text())
    assert record["model_type"] == f"untrained_{kind}"
    assert set(record["per_layer_config"]) == {"0", "1", "2"}  # the standard schema
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(again) is type(model)
    assert sizes(transformers.AutoConfig.from_pretrained(tmp_path)) == tuple(layers(kind))
    with torch.no_grad():
        assert (again(tokens()).logits - before).abs().max() == 0.0
        body = transformers.AutoModel.from_pretrained(tmp_path)
        assert torch.equal(body(tokens()).last_hidden_state, model.base_model(tokens()).last_hidden_state)


def test_generate_is_the_same_with_and_without_the_cache(model):
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    with_cache = model.generate(tokens(), use_cache=True, **options)
    assert with_cache.shape == (2, 21)
    assert torch.equal(with_cache, model.generate(tokens(), use_cache=False, **options))


def test_a_later_choice_of_attention_reaches_every_layer(model):
    with torch.no_grad():
        before = model(tokens()).logits
        model.set_attn_implementation("eager")
        out = model(tokens(), output_attentions=True)
    assert torch.allclose(out.logits, before, atol=1e-5)
    assert [a.shape[1] for a in out.attentions] == [s.heads for s in sizes(model.config)]


def test_it_learns(model):
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(8):
        loss = model(tokens(), labels=tokens()).loss
        loss.backward()
        assert all(w.grad is not None for w in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1


def test_it_is_built_without_numbers(kind):
    config = per_layer(FAMILIES[kind](), layers(kind))
    with torch.device("meta"):
        made = build(config)
    assert all(w.is_meta for w in made.parameters())
    with FakeTensorMode():
        assert build(config)(torch.zeros(1, 4, dtype=torch.long)).logits.shape == (1, 4, 61)


def test_equal_layers_are_a_stock_configuration(kind):
    base = FAMILIES[kind]()
    every = LayerSize(HEADS, 3 if kind in SHARED else HEADS, 16)
    made = per_layer(base, [every] * 2)
    assert type(made) is type(base)
    assert sizes(made) == (every, every)
    fewer = LayerSize(4, 2 if kind in SHARED else 4, 16)  # 4 heads of 8 channels are not the width 48
    again = per_layer(made, [fewer] * 2)
    assert (type(again) is type(base)) == (kind in {"mistral", "qwen3", "llama"})
    assert sizes(again) == (fewer, fewer)
    assert sizes(per_layer(again, layers(kind))) == tuple(layers(kind))


def switched_off(kind, stock, kept):
    """The weights of a stock model cut to what is kept; the rest is set to zero in the model itself."""
    head = 16 if kind == "qwen3" else WIDTH // HEADS
    small = {}
    for name, weight in stock.state_dict().items():
        place = next((int(p) for p in name.split(".") if p.isdigit()), None)
        if place is None:
            small[name] = weight
            continue
        size = kept[place]
        heads = torch.arange(size.heads * head)
        shared = torch.arange(size.kv_heads * head)
        inner = torch.arange(size.inner)
        if kind == "gpt2":  # transposed: (in, out), and q, k, v side by side
            rows = torch.cat([heads + part * WIDTH for part in range(3)])
            cuts = {
                "attn.c_attn": (-1, rows),
                "c_fc": (-1, inner),
                "attn.c_proj": (0, heads),
                "mlp.c_proj": (0, inner),
            }
            zeroed = ("c_proj.weight",)
        elif kind == "gpt_neox":  # q, k, v of a head together
            rows = torch.arange(3 * size.heads * head)
            cuts = {
                "query_key_value": (0, rows),
                "h_to_4h": (0, inner),
                "dense.weight": (1, heads),
                "4h_to_h.weight": (1, inner),
            }
            zeroed = ("dense.weight", "4h_to_h.weight")
        else:
            cuts = {"q_proj": (0, heads), "k_proj": (0, shared), "v_proj": (0, shared), "o_proj": (1, heads)}
            cuts |= {"gate_proj": (0, inner), "up_proj": (0, inner), "down_proj": (1, inner)}
            zeroed = ("o_proj.weight", "down_proj.weight")
        small[name] = weight
        for part, (axis, index) in cuts.items():
            if (
                part in name
                and weight.dim() > (axis if axis >= 0 else 0)
                and not (kind == "gpt2" and "c_proj.bias" in name)
            ):
                small[name] = weight.index_select(axis, index)
                if any(name.endswith(z) for z in zeroed):
                    mask = torch.zeros(weight.shape[axis])
                    mask[index] = 1.0
                    weight.mul_(mask if axis == 1 else mask[:, None])
    return small


def test_it_equals_a_stock_model_whose_other_heads_and_channels_say_nothing(kind):
    stock = build(FAMILIES[kind]()).eval()
    for weight in stock.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    kept = layers(kind)
    with torch.no_grad():
        whole = stock(tokens()).logits
        small = switched_off(kind, stock, kept)
        made = build(per_layer(stock.config, kept)).eval()
        made.load_state_dict(small)
        difference = (made(tokens()).logits - stock(tokens()).logits).abs().max()
        assert difference < 1e-5
        assert (stock(tokens()).logits - whole).abs().max() > 0.01


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "1 layer or more"),
        ([LayerSize(0, 1, 8)], "whole number from 1"),
        ([LayerSize(4, 3, 8)], "3 key/value heads do not divide 4 heads"),
        ([LayerSize(4, 2, 0)], "whole number from 1"),
    ],
)
def test_sizes_that_cannot_be_built(wrong, said):
    with pytest.raises(UsageError, match=said):
        per_layer(FAMILIES["llama"](), wrong)


def test_a_family_without_shared_heads_says_so():
    with pytest.raises(UsageError, match="give kv_heads=4"):
        per_layer(FAMILIES["gpt2"](), [LayerSize(4, 2, 8)])


def test_an_unknown_family_is_told_with_the_table_to_add_to():
    with pytest.raises(UsageError, match=r"'bert'.*\n.*families\.py"):
        per_layer(transformers.BertConfig(), [LayerSize(4, 4, 8)])


def test_layers_with_types_of_their_own_must_be_named():
    base = transformers.Qwen3Config(
        **COMMON, **LLAMA, num_key_value_heads=3, head_dim=16,
        use_sliding_window=True, sliding_window=4, max_window_layers=1,
    )  # fmt: skip
    assert base.layer_types == ["full_attention", "sliding_attention", "sliding_attention"]
    two = layers("qwen3")[:2]
    with pytest.raises(UsageError, match="name those that stay"):
        per_layer(base, two)
    with pytest.raises(UsageError, match="does not name a layer"):
        per_layer(base, two, kept=[0, 3])
    made = per_layer(base, two, kept=[0, 2])
    assert made.layer_types == ["full_attention", "sliding_attention"]
    model = build(made).eval()
    options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(
        model.generate(tokens(), use_cache=True, **options),
        model.generate(tokens(), use_cache=False, **options),
    )


def test_trainer_trains_it(tmp_path):
    pytest.importorskip("accelerate")
    model = build(per_layer(FAMILIES["llama"](), layers("llama")))
    rows = [{"input_ids": row, "labels": row} for row in tokens()] * 8
    arguments = transformers.TrainingArguments(
        output_dir=tmp_path, max_steps=12, per_device_train_batch_size=4, learning_rate=3e-3,
        logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=rows)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0] - 0.1
    trainer.save_model(tmp_path / "out")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))
