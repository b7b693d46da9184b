"""Every recipe is tested because its file exists: settings with a sentence each, and bad ones refused."""

import inspect
import json
import math

import pytest
from toys import decoder, language

from untrained.core import registry
from untrained.core.errors import UnknownName, UsageError
from untrained.core.metric import keyword_options, read_card
from untrained.core.named import construct
from untrained.core.recipe import Recipe, sentences
from untrained.training.recipes.causal_lm import CausalLM
from untrained.training.trainer import fit

NAMES = registry.names("recipe")


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_plain_and_each_has_a_sentence(name):
    recipe = construct("recipe", f"{name}:steps=7,peak_lr=2e-3,schedule=linear")
    assert (recipe.steps, recipe.peak_lr, recipe.schedule, recipe.name) == (7, 2e-3, "linear", name)
    assert json.loads(json.dumps(recipe.settings())) == recipe.settings()
    assert construct("recipe", name, **recipe.settings()) == recipe
    said = sentences(type(recipe))
    assert all(said[option] for option in keyword_options(type(recipe)))
    assert {"Formula", "Shapes", "Source"} <= read_card(inspect.getdoc(type(recipe))).keys()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 0},
        {"length": 0},
        {"warmup": 1.5},
        {"floor": -0.1},
        {"beta2": 1.0},
        {"peak_lr": math.nan},
        {"clip": -1.0},
        {"steps": 0},
        {"steps": -1},
        {"accumulation": 64, "batch": 8},
        {"eval_every": 0},
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(name, wrong):
    with pytest.raises(UsageError):
        construct("recipe", name, **wrong)


@pytest.mark.parametrize("setting", ["schedule", "precision", "optimizer"])
def test_words_that_are_not_known_are_refused(setting):
    with pytest.raises(UnknownName, match=f"no {setting} is called 'cosin'"):
        CausalLM(**{setting: "cosin"})


@pytest.mark.parametrize("name", registry.names("benchmark"))
def test_benchmarks_state_theirs_with_the_same_noun(name):
    assert isinstance(registry.get("benchmark", name).recipe, Recipe)


def test_epochs_become_steps(tmp_path):
    data = language(tmp_path)
    recipe = CausalLM(steps=0, epochs=0.1, length=16, batch=4, eval_windows=4)
    assert fit(decoder(), recipe, data).steps == math.ceil(0.1 * data.windows(16) / 4)


def test_half_precision_is_near_and_not_the_same(tmp_path):
    data = language(tmp_path)
    settings = {"steps": 5, "length": 16, "batch": 8, "eval_windows": 4, "log_every": 1}
    full, half = (
        [x["loss"] for x in fit(decoder(), CausalLM(**settings, precision=p), data).curve if "loss" in x]
        for p in ("auto", "bfloat16")
    )
    assert full == [
        x["loss"]
        for x in fit(decoder(), CausalLM(**settings, precision="float32"), data).curve
        if "loss" in x
    ]
    assert half == pytest.approx(full, rel=0.02)
    assert half != full
