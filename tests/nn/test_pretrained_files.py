"""Model directories that cannot be cut: each says which file, and what to do."""

import json

import pytest
import torch
from pretrained_parents import random_model, saved
from safetensors.torch import load_file, save_file

from untrained.core.errors import BadText, UsageError
from untrained.nn.pretrained.parent import parent_at
from untrained.nn.pretrained.tokens import Reader


@pytest.fixture
def sharded(tmp_path):
    random_model("llama").save_pretrained(tmp_path / "m", max_shard_size="60KB")
    assert len(list((tmp_path / "m").glob("model-*"))) > 1
    return tmp_path / "m"


def test_shards_are_read(sharded):
    parent = parent_at(str(sharded))
    assert torch.equal(parent.get("lm_head.weight"), random_model("llama").lm_head.weight)


def test_a_missing_shard_is_named(sharded):
    gone = sorted(sharded.glob("model-*"))[1]
    gone.unlink()
    with pytest.raises(UsageError, match=f"lacks 1 of its .* {gone.name}"):
        parent_at(str(sharded))


def test_a_damaged_shard_is_named(sharded):
    broken = sorted(sharded.glob("model-*"))[0]
    broken.write_bytes(broken.read_bytes()[:1000])
    with pytest.raises(UsageError, match=rf"{broken.name} is damaged"):
        parent_at(str(sharded))


def test_a_list_of_shards_that_is_none(sharded):
    (sharded / "model.safetensors.index.json").write_text("[1")
    with pytest.raises(UsageError, match="is no list of shards"):
        parent_at(str(sharded))


def test_weights_that_are_only_pickled_are_refused(tmp_path):
    folder = saved(tmp_path / "m", "llama")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="reading such a file can run"):
        parent_at(str(folder))


def test_a_directory_without_weights(tmp_path):
    folder = saved(tmp_path / "m", "llama")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="no weights in safetensors"):
        parent_at(str(folder))


def test_no_such_directory():
    with pytest.raises(UsageError, match="no file or directory"):
        parent_at("/nowhere/at/all")


def test_an_unknown_family_says_how_to_write_its_adapter(tmp_path):
    folder = saved(tmp_path / "m", "llama")
    record = json.loads((folder / "config.json").read_text())
    for kind, said in (("mamba", "one for: "), ("bert", "QWEN3")):
        (folder / "config.json").write_text(json.dumps(record | {"model_type": kind}))
        with pytest.raises(UsageError, match=said):
            parent_at(str(folder))


def test_a_missing_tensor_and_a_wrong_shape_are_named(tmp_path):
    folder = saved(tmp_path / "m", "llama")
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    kept = tensors.pop(name)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UsageError, match=name):
        parent_at(str(folder))
    save_file(tensors | {name: kept[:-1].contiguous()}, folder / "model.safetensors")
    with pytest.raises(UsageError, match=r"has the shape \[47, 32\]"):
        parent_at(str(folder))


def test_a_layer_that_depends_on_its_place_is_refused(tmp_path):
    folder = saved(tmp_path / "m", "gpt2", scale_attn_by_inverse_layer_idx=True)
    with pytest.raises(UsageError, match="scaled by the number of the layer"):
        parent_at(str(folder))


def test_a_checkpoint_of_the_body_alone_is_read(tmp_path):
    """GPT-2's own checkpoint has no prefix, and no head as that is tied."""
    model = random_model("gpt2")
    folder = tmp_path / "m"
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    bare = {k.removeprefix("transformer."): v for k, v in tensors.items() if k != "lm_head.weight"}
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    parent = parent_at(str(folder))
    tokens = torch.arange(12)[None]
    with torch.inference_mode():
        own, cut = (m(tokens, use_cache=False).logits for m in (model, parent.build(parent.whole())))
    assert torch.equal(own, cut)


def test_half_precision_is_kept_and_measured_in_full(tmp_path):
    folder = tmp_path / "m"
    random_model("llama").to(torch.bfloat16).save_pretrained(folder)
    parent = parent_at(str(folder))
    assert parent.dtype == torch.bfloat16
    net = parent.build(parent.whole())
    assert {w.dtype for w in net.parameters()} == {torch.float32}
    assert torch.equal(net.lm_head.weight, random_model("llama").lm_head.weight.to(torch.bfloat16).float())


def test_bytes_stand_in_for_a_tokenizer_only_where_they_can(tmp_path):
    assert Reader(None, 300).ids("aé") == (97, 195, 169)
    with pytest.raises(UsageError, match="no tokenizer"):
        Reader(tmp_path, 32_000).ids("words")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match="is no tokenizer"):
        Reader(tmp_path, 32_000).ids("words")


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    from untrained.nn.byte_tokenizer import tokenizer_json

    (tmp_path / "tokenizer.json").write_text(tokenizer_json())
    assert Reader(tmp_path, 260).ids("abc") == (97, 98, 99)
    with pytest.raises(BadText, match="gives the id 122"):
        Reader(tmp_path, 100).ids("xyz")
