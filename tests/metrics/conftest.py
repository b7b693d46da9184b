"""Modules of torch draw their weights from its global generator: the same ones in every run."""

import pytest
import torch


@pytest.fixture(autouse=True)
def same_weights():
    torch.manual_seed(0)
