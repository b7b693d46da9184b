"""Our networks as Hugging Face models: equal after a reload, with and without a cache, padded or not."""

from __future__ import annotations

import json

import pytest
import torch

import untrained as ut
from untrained.core.errors import UsageError
from untrained.core.named import construct
from untrained.nn.hf.convert import converted
from untrained.nn.hf.networks import built, described
from untrained.spaces.gpt_decoder import GptDecoder
from untrained.spaces.rnn_cell import CLASSICS

transformers = pytest.importorskip("transformers")
WORDS = 40
SCALES = {
    "rnn_cell": f"paper:vocabulary={WORDS},width=8",
    "bert_encoder": f"paper:vocabulary={WORDS}",
    "gpt_decoder": f"probe:vocabulary={WORDS}",
}
RANDOM = [
    *[("rnn_cell", seed) for seed in range(12)],
    *[("rnn_cell:states=3", seed) for seed in range(2)],
    *[("bert_encoder", seed) for seed in range(6)],
    *[("bert_encoder:preset=large", seed) for seed in range(2)],
    *[("gpt_decoder", seed) for seed in range(8)],
    *[("gpt_decoder:family=lts", seed) for seed in range(2)],
    *[("gpt_decoder:family=lts_transformer_xl", seed) for seed in range(2)],
]
BASE = {"width": 32, "heads": (2, 2), "inner": (24, 24), "vocabulary": 2_000, "context": 64}
LLAMA = {"norm": "rms", "mlp": "swiglu", "position": "rotary", "bias": False}
ADAPTIVE = {"cutoffs": (100, 500), "div_val": 2, "head": "adaptive"}
XL = {"position": "relative", "placement": "post", "mlp": "relu", "heads": (2, 3), "head_width": "floor"}
TWO = {"inner": (24, 9)}
HAND = {  # what is made of it -> choices
    "gpt2": [{}, {"mlp": "relu", "head": "untied"}],
    "untrained_gpt2": [TWO, {"heads": (2, 1), "kv_heads": (2, 1), "head_width": 16}],
    "llama": [
        LLAMA,
        LLAMA | {"kv_heads": (1, 1), "head": "untied"},
        LLAMA | {"bias": True, "head_width": 24},
    ],
    "untrained_llama": [LLAMA | TWO, LLAMA | {"heads": (4, 3), "kv_heads": (2, 1), "head_width": 8}],
    "mistral": [LLAMA | {"mixer": ("window",) * 2, "span": 4}],
    "untrained_decoder": [
        LLAMA | {"mixer": ("window", "softmax"), "span": 4},
        LLAMA | {"mixer": ("cosformer", "softmax")},
        LLAMA | {"position": "none"},
        LLAMA | {"embedding": 16},
        {"bias": False},
        {"placement": "post"},
        {"heads": (2, 4)},
        {"kv_heads": (1, 1)},
        {**ADAPTIVE},
        {**ADAPTIVE, "head": "adaptive_own", "div_val": 1, "embedding": 16},
        {**ADAPTIVE, **XL},
        {**ADAPTIVE, "head": "tied"},
    ],
}
CASES = [(model_type, choices) for model_type, many in HAND.items() for choices in many]


def sampled(name, seed):
    space = construct("space", name)
    arch = space.sample(ut.rng(seed))
    return space.build(arch, scale=SCALES[space.name], generator=torch.Generator().manual_seed(seed)).eval()


def by_hand(choices):
    arch = GptDecoder.of(**BASE | choices)
    network = GptDecoder().build(arch, generator=torch.Generator().manual_seed(0)).eval()
    for place, weight in enumerate(network.parameters()):  # biases and norms too
        torch.nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(place))
    return network


def tokens(network, rows=3, length=9):
    return torch.randint(network.vocabulary, (rows, length), generator=torch.Generator().manual_seed(1))


def close(found, wanted):
    """Within 1e-5 of each other, or of the largest where that is beyond 1."""
    return float((found - wanted).abs().max()) < 1e-5 * max(1.0, float(wanted.abs().max()))


def round_trip(network, folder):
    """The network, converted, saved and loaded; checked to give the same logits."""
    form = converted(network)
    form.model.save_pretrained(folder)
    again, told = getattr(transformers, form.auto).from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert not again.training
    assert sum(w.numel() for w in again.parameters()) == sum(w.numel() for w in network.parameters())
    with torch.no_grad():
        wanted, found = network(tokens(network)), again(tokens(network)).logits
    assert close(found, wanted)
    return form, again


def check_generation(network, model, cached):
    """The same text with and without a cache, from padded prompts, and by beams."""
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "output_logits": True}
    options["return_dict_in_generate"] = True
    prompt = tokens(network)
    kept = model.generate(prompt, use_cache=True, **options)
    anew = model.generate(prompt, use_cache=False, **options)
    assert torch.equal(kept.sequences, anew.sequences)
    assert close(torch.stack(kept.logits), torch.stack(anew.logits))
    assert (kept.past_key_values is not None) == cached or not cached
    with torch.no_grad():  # token by token, as a cosformer layer's weights depend on the length
        for step, logits in enumerate(kept.logits, start=prompt.shape[1]):
            assert close(logits, network(kept.sequences[:, :step])[:, -1])
    mask = torch.ones_like(prompt)
    mask[0, :4] = mask[1, :1] = 0  # on the left, as generation pads
    padded = model.generate(prompt, attention_mask=mask, use_cache=True, **options)
    alone = model.generate(prompt[:1, 4:], use_cache=True, **options)
    assert close(padded.logits[0][0], alone.logits[0][0])
    if torch.equal(padded.sequences[0, 9:12], alone.sequences[0, 5:8]):  # no tie was broken the other way
        assert close(padded.logits[3][0], alone.logits[3][0])
    beams = {"max_new_tokens": 4, "num_beams": 2, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(
        model.generate(prompt, use_cache=True, **beams), model.generate(prompt, use_cache=False, **beams)
    )


def check_gradients(model):
    model.train()
    ids = tokens(model.network if hasattr(model, "network") else model)
    loss = model(ids, labels=ids).loss
    assert torch.isfinite(loss)
    loss.backward()
    assert all(w.grad is not None for w in model.parameters())


@pytest.mark.parametrize(("name", "seed"), RANDOM, ids=lambda value: str(value))
def test_random_architectures_of_every_language_space(name, seed, tmp_path):
    network = sampled(name, seed)
    form, model = round_trip(network, tmp_path)
    if form.auto == "AutoModelForCausalLM":
        check_generation(network, model, form.cached)
    else:
        check_padding(network, model)
    if seed == 0:
        check_gradients(model)


@pytest.mark.parametrize("name", sorted(CLASSICS))
def test_every_recurrent_classic(name, tmp_path):
    space = construct("space", "rnn_cell")
    network = space.build(
        space.classic(name), scale=SCALES["rnn_cell"], generator=torch.Generator().manual_seed(0)
    ).eval()
    form, model = round_trip(network, tmp_path)
    check_generation(network, model, form.cached)
    check_gradients(model)


@pytest.mark.parametrize(("model_type", "choices"), CASES)
def test_a_decoder_leaves_as_the_plainest_that_computes_the_same(model_type, choices, tmp_path):
    network = by_hand(choices)
    form, model = round_trip(network, tmp_path)
    assert model.config.model_type == model_type
    assert form.ours == model_type.startswith("untrained_")
    assert form.cached == ("cosformer" not in choices.get("mixer", ()))
    check_generation(network, model, form.cached)


def check_padding(network, model):
    """Texts of several lengths in one batch, padded on the right, each as if it were alone."""
    mask = torch.ones(3, 9, dtype=torch.long)
    mask[0, 5:] = mask[2, 7:] = 0
    ids = tokens(network)
    with torch.no_grad():
        found = model(ids, attention_mask=mask).logits
        for row, length in enumerate((5, 9, 7)):
            assert torch.allclose(found[row, :length], network(ids[row : row + 1, :length])[0], atol=1e-5)


def test_an_encoder_without_its_head(tmp_path):
    network = sampled("bert_encoder", 0)
    round_trip(network, tmp_path)
    body = transformers.AutoModel.from_pretrained(tmp_path)
    with torch.no_grad():
        states = body(tokens(network)).last_hidden_state
        assert torch.equal(states, network.encode(network.embed(tokens(network))))


def test_masked_labels_alone_count():
    model = converted(sampled("bert_encoder", 0)).model
    ids = tokens(model.network)
    labels = torch.full_like(ids, -100)
    labels[0, 2], labels[1, 5] = 7, 11
    with torch.no_grad():
        out = model(ids, labels=labels)
    logs = out.logits.log_softmax(-1)
    assert out.loss.item() == pytest.approx(-(logs[0, 2, 7] + logs[1, 5, 11]).item() / 2, rel=1e-5)


def test_causal_loss_is_that_of_the_next_token():
    model = converted(sampled("rnn_cell", 0)).model
    ids = tokens(model.network)
    with torch.no_grad():
        out = model(ids, labels=ids)
    logs = out.logits[:, :-1].log_softmax(-1)
    assert out.loss.item() == pytest.approx(-logs.gather(-1, ids[:, 1:, None]).mean().item(), rel=1e-5)


def test_a_recurrent_cache_is_as_large_for_a_long_text_as_for_a_short_one():
    model = converted(sampled("rnn_cell", 1)).model
    sizes = set()
    for length in (2, 30):
        cache = model(tokens(model.network, length=length), use_cache=True).past_key_values
        assert cache.get_seq_length() == length
        sizes.add(sum(states.numel() for states in cache.states))
    assert len(sizes) == 1


def test_a_cache_of_keys_costs_one_step_a_token():
    network = by_hand(LLAMA | {"position": "none"})
    model = converted(network).model
    ids = tokens(network, rows=2, length=20)
    with torch.no_grad():
        begun = model(ids[:, :19], use_cache=True)
        assert begun.past_key_values.get_seq_length() == 19
        step = model(ids[:, 19:], past_key_values=begun.past_key_values, use_cache=True)
        assert step.logits.shape == (2, 1, 2_000)
        assert torch.allclose(step.logits[:, 0], network(ids)[:, 19], atol=1e-5)


def test_trainer_trains_one(tmp_path):
    pytest.importorskip("accelerate")
    model = converted(sampled("rnn_cell", 3)).model.train()
    rows = [{"input_ids": row, "labels": row} for row in tokens(model.network)] * 8
    arguments = transformers.TrainingArguments(
        output_dir=tmp_path, max_steps=20, per_device_train_batch_size=4, learning_rate=1e-2,
        logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=rows)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0] - 0.1


def test_padding_within_a_text_is_refused():
    model = converted(sampled("bert_encoder", 0)).model
    mask = torch.tensor([[1, 0, 1]])
    with pytest.raises(ValueError, match="pad at one end"):
        model(torch.zeros(1, 3, dtype=torch.long), attention_mask=mask)


@pytest.mark.parametrize("name", ["output_attentions", "output_hidden_states"])
def test_what_is_not_kept_is_refused(name):
    model = converted(sampled("rnn_cell", 0)).model
    with pytest.raises(ValueError, match=name):
        model(torch.zeros(1, 3, dtype=torch.long), **{name: True})


def test_a_network_that_is_not_ours_has_no_form():
    with pytest.raises(UsageError, match=r"Linear has no Hugging Face form"):
        converted(torch.nn.Linear(2, 2))


def test_descriptions_are_json_and_come_back():
    for name in ("rnn_cell", "bert_encoder", "gpt_decoder", "gpt_decoder:family=lts"):
        network = sampled(name, 0)
        record = json.loads(json.dumps(described(network)))
        again = built(record)
        assert described(again) == record
        assert {n: w.shape for n, w in again.state_dict().items()} == {
            n: w.shape for n, w in network.state_dict().items()
        }


@pytest.mark.parametrize("record", [{"kind": "tree"}, {}, {"kind": "rnn"}, {"kind": "decoder", "width": 3}])
def test_a_description_that_cannot_be_read(record):
    with pytest.raises(ValueError, match=r"cannot be read|no kind of network"):
        built(record)


def test_weights_that_a_file_lacks_are_drawn_and_reported(tmp_path, caplog):
    network = sampled("rnn_cell", 0)
    form = converted(network)
    kept = dict(form.model.state_dict())
    kept.pop("network.embedding")
    form.model.save_pretrained(tmp_path, state_dict=kept)
    again, told = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert told["missing_keys"] == {"network.embedding"}
    assert 0.01 < again.network.embedding.std() < 0.1  # U(-0.1, 0.1), and not what memory held
