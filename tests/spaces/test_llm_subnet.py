"""The space of sub-networks: its window, its counts, what it refuses, and a parent of eight billion."""

import json
import pickle
import sys
import time
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "nn"))
from pretrained_parents import KINDS, saved

from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, UnknownName, UsageError
from untrained.core.named import construct
from untrained.spaces.llm_subnet import LlmSubnet

BILLIONS = {
    "model_type": "llama",
    "vocab_size": 128_256,
    "hidden_size": 4_096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14_336,
    "max_position_embeddings": 8_192,
    "tie_word_embeddings": False,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(saved(tmp_path_factory.mktemp("parent"), "llama"))


def made(folder, **more):
    return LlmSubnet(parent=folder, **{"sequences": 4, "length": 16, "align": 4, **more})


def test_every_draw_is_in_the_window(folder):
    space = made(folder, low=0.75, high=0.78, shortest=0.3)
    whole = space.geometry.params
    rng = Random(0)
    other = space.sample(rng)
    for _ in range(60):
        arch = space.sample(rng)
        for each in (arch, space.mutate(arch, rng), space.crossover(arch, other, rng)):
            space.validate(each)
            assert 0.75 * whole - 1 <= space.count(each)["params"] <= 0.78 * whole + 1
        assert all(space.valid(n) for n in space.neighbours(arch))
        other = arch
    assert len({space.sample(rng).id for _ in range(60)}) > 30


def test_size_is_the_number_of_architectures(folder):
    space = made(folder, align=24, shortest=0.6)
    everything = list(space.everything())
    assert len(everything) == space.size()
    assert len({a.id for a in everything}) == len(everything)


def test_heads_go_from_every_group_alike_or_group_by_group(folder):
    alike, whole = made(folder), made(folder, groups="whole")
    for space, kv in ((alike, {2}), (whole, {1, 2})):
        seen = set()
        for seed in range(20):
            for kept in space.origin(space.sample(Random(seed))).cut.kept:
                by_group = [sum(h // 2 == g for h in kept.heads) for g in kept.kv_heads]
                assert len(set(by_group)) == 1
                assert space is alike or by_group[0] == 2
                seen.add(len(kept.kv_heads))
        assert seen == kv


def test_the_most_important_stay(folder):
    space = made(folder)
    arch = next(a for a in map(space.sample, map(Random, range(50))) if 24 in a.inner)
    for kept in space.origin(arch).cut.kept:
        worth = space.statistics.layers[kept.layer].importance_inner
        gone = [j for j in range(space.geometry.inner) if j not in kept.inner]
        assert not gone or min(worth[list(kept.inner)]) >= max(worth[gone])


def test_an_architecture_is_the_same_in_another_process_and_knows_its_parent(folder, tmp_path):
    space = made(folder)
    arch = space.sample(Random(3))
    copy = pickle.loads(pickle.dumps(space))
    assert copy.sample(Random(3)).id == arch.id
    assert Architecture.from_json(arch.to_json()).id == arch.id
    other = made(str(saved(tmp_path / "other", "llama", seed=1)))
    with pytest.raises(InvalidArchitecture, match="another parent"):
        other.validate(arch)
    with pytest.raises(InvalidArchitecture, match="another calibration text"):
        made(folder, sequences=5).validate(arch)


def test_statistics_are_kept_by_the_hashes_of_parent_and_text(folder, tmp_path, monkeypatch):
    from untrained.nn.pretrained import parent as parents

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tokens = made(folder, sequences=3).calibration
    first = parents.Parent(made(folder).parent.config, Path(folder)).statistics(tokens)
    (kept,) = (tmp_path / "untrained" / "calibration").glob("*.safetensors")
    monkeypatch.setattr(parents, "measured", lambda *_: pytest.fail("measured again"))
    again = parents.Parent(made(folder).parent.config, Path(folder)).statistics(tokens)
    assert all(
        (a == b).all() for a, b in zip(first.tensors().values(), again.tensors().values(), strict=True)
    )
    kept.write_bytes(kept.read_bytes()[:100])  # a damaged one is made anew
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert parents.Parent(made(folder).parent.config, Path(folder)).statistics(tokens).tokens == first.tokens
    assert kept.stat().st_size > 100


def test_a_parent_of_eight_billion_is_priced_without_its_weights(tmp_path):
    """8,030,261,248 parameters: what Meta's Llama-3-8B has."""
    (tmp_path / "config.json").write_text(json.dumps(BILLIONS))
    space = LlmSubnet(parent=str(tmp_path / "config.json"), low=4.55e9, high=4.7e9, align=32, shortest=0.85)
    assert space.geometry.params == 8_030_261_248
    start = time.process_time()
    archs = [space.draws.sample(Random(i)) for i in range(20)]
    assert time.process_time() - start < 20
    for heads, inner in archs:
        costs = space.widths.costs(heads, inner, 128)
        assert 4.55e9 <= costs["params"] <= 4.7e9
        assert sum(h > 0 for h in heads) >= 28
        matrices = costs["params_nonembedding"] - 4096 * (2 * sum(h > 0 for h in heads) + 1)
        products = sum(4 * 128 * h * 128 for h in heads)
        assert costs["flops"] == 2 * (matrices + 128_256 * 4_096) + products


def test_without_weights_nothing_is_built(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(BILLIONS | {"vocab_size": 300, "hidden_size": 64}))
    space = LlmSubnet(parent=str(tmp_path / "config.json"))
    with pytest.raises(UsageError, match="no weights"):
        space.build(space.sample(Random(0)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("low=0.1,high=0.2", "the smallest sub-network here has"),
        ("low=0.9,high=0.8", "is above high"),
        ("shortest=0", "take a share above 0"),
        ("narrowest=1.5", "take a share above 0"),
        ("align=0", "take 1 or more"),
        ("low=2e9,high=3e9", "the parent has"),
    ],
)
def test_what_cannot_be_asked_is_said(folder, options, said):
    with pytest.raises(UsageError, match=said):
        construct("space", f"llm_subnet:parent={folder},{options}")


def test_an_unknown_way_to_keep_groups_is_refused(folder):
    with pytest.raises(UnknownName, match="whole"):
        made(folder, groups="some")


def test_a_layer_without_heads_has_no_channels(folder):
    space = made(folder)
    arch = space.sample(Random(0))
    wrong = Architecture.of("llm_subnet", **dict(arch.choices) | {"heads": (0, 4, 4), "inner": (48, 48, 48)})
    with pytest.raises(InvalidArchitecture, match="dropped as a whole"):
        space.validate(wrong)
    with pytest.raises(InvalidArchitecture, match="options"):
        space.validate(Architecture.of("llm_subnet", **dict(arch.choices) | {"heads": (3, 4, 4)}))


def test_the_uniform_one_takes_from_every_layer_alike(folder):
    space = made(folder, low=0.75, high=0.8)
    arch = space.uniform()
    assert len(set(arch.heads)) == 1
    assert max(arch.inner) - min(arch.inner) <= 4


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_uniform_one_at_every_usual_size(kind, tmp_path):
    folder = str(saved(tmp_path / kind, kind))
    for share in (0.75, 0.8, 0.9):
        space = made(folder, low=share - 0.06, high=share)
        space.validate(space.uniform())
