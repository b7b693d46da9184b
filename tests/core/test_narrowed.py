"""Narrowed spaces: fewer architectures, the same ones; files that are none are refused with the reason."""

import json
import math
import pickle
from random import Random

import numpy as np
import pytest

from untrained.core.errors import InvalidArchitecture, UsageError
from untrained.core.named import construct
from untrained.core.narrowed import from_file, narrowed, to_json
from untrained.core.narrowing import Part, best, narrow
from untrained.core.space import Space, choice


class Toy(Space):
    name = "toy"
    depth = choice(2, 4)
    width = choice(16, 32, 64)
    kind = choice("a", "b", "c", per="depth")

    def build(self, arch, *, scale="paper", generator=None):
        raise NotImplementedError


FEWER = {"depth": (4,), "kind": ("a", "c")}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bert_encoder", {"layers": [4], "operation": ["sdp", "dft"], "inner": [[512], [1024, 1024, 1024]]}),
        ("bert_encoder:preset=large", {"hidden": [512], "heads": [8]}),
        ("gpt_decoder", {"layers": [4, 6], "mixer": ["softmax"], "norm": ["rms"]}),
        ("gpt_decoder:family=lts", {"width": [512]}),
    ],
)
def test_everything_drawn_is_inside_and_one_of_the_whole(name, options):
    base = construct("space", name)
    space, rng = narrowed(base, options), Random(0)
    archs = [space.sample(rng) for _ in range(20)]
    archs += [space.mutate(a, rng) for a in archs] + [space.crossover(a, archs[0], rng) for a in archs]
    for arch in archs:
        base.validate(arch)
        assert arch.space == base.name
        assert space.encode(arch) == base.encode(arch)
        for decision, left in options.items():
            value = getattr(arch, decision)
            allowed = [tuple(o) if isinstance(o, list) else o for o in left]
            assert set(value if base.declared()[decision].per else [value]) <= set(allowed)
    near = list(space.neighbours(archs[0]))
    assert near
    assert all(space.inside(a) for a in near)
    assert space.size() < base.size()
    assert len(set(archs)) > 10


def test_its_size_is_counted():
    assert narrowed(Toy(), FEWER).size() == 3 * 2**4
    assert len(list(narrowed(Toy(), FEWER).everything())) == 48


def test_it_travels_to_other_processes():
    base = construct("space", "bert_encoder")
    space = pickle.loads(pickle.dumps(narrowed(base, {"layers": [2]})))
    assert {space.sample(Random(i)).layers for i in range(9)} == {2}
    assert space.size() == 2 * (6 * 2 * 4) ** 2


def test_bounds_hold_cells_within_them():
    base = construct("space", "rnn_cell")
    space, rng = narrowed(base, {}, {"count activation_tanh": (0, 1), "count linear": (2, 3)}), Random(0)
    archs = [space.sample(rng) for _ in range(10)]
    archs += [space.mutate(a, rng) for a in archs] + [space.crossover(archs[0], a, rng) for a in archs]
    for arch in archs:
        traits = base.traits(arch)
        assert traits["count activation_tanh"] <= 1
        assert 2 <= traits["count linear"] <= 3
    assert space.size() is None
    impossible = narrowed(base, {}, {"states": (90, 99)})
    with pytest.raises(InvalidArchitecture, match="loosen its bounds"):
        impossible.sample(rng)


def test_a_file_says_the_same(tmp_path):
    path = tmp_path / "space.json"
    path.write_text(
        to_json("bert_encoder:preset=large", {"layers": (6,), "inner": ((512,), (512, 512, 512))}, {})
    )
    space = construct("space", str(path))
    arch = space.sample(Random(3))
    assert arch.layers == 6
    assert set(arch.inner) <= {(512,), (512, 512, 512)}
    assert space.size() == 3 * (7 * 3 * 2) ** 6


GOOD = {"untrained": "space", "version": 1, "base": "bert_encoder", "options": {"layers": [4]}, "bounds": {}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"untrained": "formula"}, "no narrowed space"),
        ({"version": 9}, "another Untrained"),
        ({"base": "bert_encoda"}, "no space is called 'bert_encoda'. Did you mean 'bert_encoder'"),
        ({"base": "x.json"}, "not the name of a space"),
        ({"base": 3}, "not the name of a space"),
        ({"options": {"leyers": [4]}}, "no decision 'leyers'"),
        ({"options": {"layers": [3]}}, "layers has no option 3"),
        ({"options": {"layers": [4.0]}}, "layers has no option 4.0"),
        ({"options": {"layers": []}}, "no option is left of layers"),
        ({"options": 3}, "AttributeError"),
        ({"bounds": {"depth": [1, 2]}}, "no trait 'depth'"),
        ({"bounds": {"layers": [4, 2]}}, "cannot be at least 4 and at most 2"),
        ({"bounds": {"layers": [4]}}, "ValueError"),
    ],
)
def test_a_file_that_is_none(tmp_path, change, said):
    path = tmp_path / "space.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(UsageError) as error:
        from_file(str(path))
    assert said in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="cannot read the space"):
        construct("space", str(tmp_path / "none.json"))
    (tmp_path / "half.json").write_text('{"untrained": "sp')
    with pytest.raises(UsageError, match="is not JSON"):
        construct("space", str(tmp_path / "half.json"))
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(UsageError, match="no narrowed space"):
        construct("space", str(tmp_path / "list.json"))


def toys(n=200):
    rng = Random(0)
    return [Toy().sample(rng) for _ in range(n)]


def test_the_best_share_takes_its_equals_along():
    assert best(np.array([1.0, 3, 2, 3]), 0.25).tolist() == [False, True, False, True]
    assert best(np.arange(10.0), 0.3).sum() == 3


def test_what_the_best_never_have_is_left_out():
    archs = toys()
    quality = np.array(
        [a.width - 100.0 * a.kind.count("b") + Random(i).random() for i, a in enumerate(archs)]
    )
    part = narrow(Toy(), archs, quality, ["width", "kind"], keep=0.05)
    assert part == Part({"kind": ("b",)}, {"width": (64, 64)})
    assert part.options(Toy()) == {"kind": ("a", "c"), "width": (64,)}
    traits = [Toy().traits(a) for a in archs]
    good = best(quality, 0.05)
    assert all(part.holds(t) for t, g in zip(traits, good, strict=True) if g)
    assert narrow(Toy(), archs, quality, [], keep=0.1) == Part()


@pytest.mark.parametrize("seed", range(6))
def test_without_an_order_nothing_is_left_out(seed):
    archs = toys(120)
    quality = np.random.default_rng(seed).normal(size=len(archs))
    assert not narrow(Toy(), archs, quality, ["width", "kind", "depth"], keep=0.1)


def test_as_many_of_the_best_are_lost_as_may_be():
    archs = toys()
    width = np.array([a.width for a in archs])
    quality = (
        np.where(width == 64, 1.0, 0.0) + np.array([a.depth == 4 and a.width != 64 for a in archs]) * 0.5
    )
    quality[np.flatnonzero(width == 16)[0]] = 2.0  # one of the best is narrow
    share = (quality >= 1).mean()
    kept = narrow(Toy(), archs, quality, ["width"], keep=share, lose=0.0)
    assert kept.bounds.get("width", (16, 64)) == (16, 64)
    lost = narrow(Toy(), archs, quality, ["width"], keep=share, lose=0.05)
    assert lost.bounds["width"] == (64, 64)
    assert math.isfinite(lost.bounds["width"][0])
