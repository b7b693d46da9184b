"""`ut.train` on modules of one's own."""

import pytest
import torch
from torch import nn

import untrained as ut
from untrained.core.errors import UsageError


class Recurrent(nn.Module):
    """A plain language model."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.table, self.cell = nn.Embedding(260, 16), nn.GRU(16, 16, batch_first=True)
            self.head = nn.Linear(16, 260)

    def forward(self, tokens):
        return self.head(self.cell(self.table(tokens))[0])


def test_a_module_is_trained_in_place_on_the_text_that_python_ships():
    module = Recurrent()
    found = ut.train(module, "causal_lm:steps=20,length=32,batch=8,peak_lr=1e-2,eval_windows=8")
    assert found.model is module
    assert found.marks["loss"] < found.curve[0]["held_out"]["loss"] - 1
    assert not module.training
    assert all(w.grad is None or w.grad.isfinite().all() for w in module.parameters())


class Backward(Recurrent):
    """One that reads from the end."""

    def forward(self, tokens):
        return super().forward(tokens.flip(1)).flip(1)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (nn.Linear(2, 2), r"Linear does not map tokens \(B, T\) to logits"),
        (nn.Identity(), "Identity has no weights to train"),
        (Backward(), "Backward sees the tokens that follow"),
        (3, "an object of type int cannot be trained"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_cannot_be_trained_is_told(what, said):
    with pytest.raises(UsageError, match=said):
        ut.train(what, "causal_lm:length=16")
