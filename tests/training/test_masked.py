"""Hidden tokens: how many, which, and a model that learns to tell them."""

from random import Random

import pytest
import torch
from torch.nn.functional import cross_entropy
from toys import decoder, language

from untrained.core.bytes import MASK
from untrained.core.errors import UsageError
from untrained.training.data.language import from_files
from untrained.training.data.tokenizer import Bytes
from untrained.training.recipe import IGNORED, luck
from untrained.training.recipes.causal_lm import CausalLM
from untrained.training.recipes.masked_lm import MaskedLM, hidden
from untrained.training.trainer import fit


def test_shares_of_what_is_hidden_are_those_of_bert():
    tokens = torch.randint(0, 256, (200, 200), generator=luck(1))
    batch = hidden(tokens, 0.15, MASK, luck(2))
    chosen = batch.targets != IGNORED
    assert float(chosen.float().mean()) == pytest.approx(0.15, abs=0.01)
    assert torch.equal(batch.targets[chosen], tokens[chosen])
    assert torch.equal(batch.tokens[~chosen], tokens[~chosen])
    masked = batch.tokens[chosen] == MASK
    same = batch.tokens[chosen] == tokens[chosen]
    assert float(masked.float().mean()) == pytest.approx(0.8, abs=0.02)
    assert float((~masked & same).float().mean()) == pytest.approx(0.1 + 0.1 / 256, abs=0.01)


def test_something_is_hidden_even_where_the_share_is_tiny():
    batch = hidden(torch.zeros(1, 4, dtype=torch.long), 1e-9, MASK, luck(0))
    assert int((batch.targets != IGNORED).sum()) == 1


def test_lessons_differ_and_exams_do_not(tmp_path):
    data, recipe = language(tmp_path), MaskedLM(length=16, batch=4, eval_windows=8)
    first, second, again = (recipe.lesson(data, step) for step in (0, 1, 0))
    assert torch.equal(first.targets, again.targets)
    assert not torch.equal(first.targets, second.targets)
    exams = [[b.tokens for b in recipe.exam(data)] for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*exams, strict=True))


def test_an_encoder_learns_what_the_others_say(tmp_path):
    """Letters come in runs of 48: each is known from the others, and alone one of eight, ln 8 = 2.08."""
    rng = Random(0)
    (tmp_path / "runs.txt").write_text("".join(48 * rng.choice("abcdefgh") for _ in range(400)))
    data = from_files(tmp_path / "runs.txt", Bytes())
    recipe = MaskedLM(length=16, batch=16, steps=200, eval_every=200, peak_lr=1e-2, eval_windows=64)
    found = fit(decoder(causal=False), recipe, data)
    assert found.curve[0]["held_out"]["loss"] > 3
    assert found.marks["loss"] < 0.7  # a third of the windows hold two letters


def test_losses_are_those_of_a_plain_loop(tmp_path):
    data, model, plain = language(tmp_path), decoder(causal=False), decoder(causal=False)
    settings = {"length": 16, "batch": 8, "steps": 5, "eval_every": 5, "eval_windows": 8, "log_every": 1}
    recipe = MaskedLM(**settings, weight_decay=0, clip=0, warmup=0, schedule="constant")
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0)
    expected = []
    for step in range(5):
        batch = recipe.lesson(data, step)
        lost = cross_entropy(plain(batch.tokens).flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        lost.backward()
        optimizer.step()
        expected.append(lost.item())
    found = fit(model, recipe, data)
    assert [line["loss"] for line in found.curve if "loss" in line] == pytest.approx(expected, rel=1e-5)
    with torch.no_grad():
        told = [
            cross_entropy(plain(b.tokens)[b.targets != IGNORED], b.targets[b.targets != IGNORED])
            for b in recipe.exam(data)
        ]
    assert len(told) == 1
    assert found.marks["loss"] == pytest.approx(told[0].item(), rel=1e-5)


def test_parts_with_unequal_numbers_of_hidden_tokens_are_the_same_update(tmp_path):
    data = language(tmp_path)
    settings = {"length": 16, "batch": 8, "steps": 4, "eval_windows": 4, "log_every": 1}
    whole, parts = (
        fit(decoder(causal=False).double(), MaskedLM(**settings, accumulation=n), data) for n in (1, 4)
    )
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-9)


def test_an_encoder_is_not_trained_to_tell_what_it_sees(tmp_path):
    with pytest.raises(UsageError, match=r"sees the tokens that follow.*\n.*masked_lm"):
        fit(decoder(causal=False), CausalLM(length=16), language(tmp_path))


def test_a_tokenizer_without_a_mask_is_refused(tmp_path):
    data = language(tmp_path)
    object.__setattr__(data, "tokenizer", type("Bare", (Bytes,), {"mask": None})())
    with pytest.raises(UsageError, match="no token for a mask"):
        fit(decoder(causal=False), MaskedLM(length=16), data)
