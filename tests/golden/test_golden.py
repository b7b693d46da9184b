"""Every proxy's and cost's value on known cells, pinned, so that none drifts unseen.

After a change that is meant: UNTRAINED_PIN=1 pytest tests/golden, and say why in the commit.
"""

import os
from pathlib import Path
from random import Random

import untrained as ut
from untrained.core import registry
from untrained.core.metric import metric
from untrained.testing import golden

HERE = Path(__file__).parent


def text(folder: Path) -> Path:
    """Five thousand made-up words, frequent and rare ones: what Python ships differs between versions."""
    rng, path = Random(0), folder / "words.txt"
    path.write_text(" ".join(f"w{int(500 * rng.random() ** 3)}" for _ in range(5_000)), encoding="utf-8")
    return path


def test_values_on_known_cells_are_those_that_were_pinned(tmp_path):
    words = text(tmp_path)
    space = ut.space("rnn_cell")
    cells = {name: space.classic(name) for name in ("rnn", "lstm", "gru")}
    cells |= {f"sample_{seed}": space.sample(Random(seed)) for seed in (3, 5)}
    names = registry.names("proxy") + registry.names("cost")
    steady = [name for name in names if "device" not in metric(name).needs]
    found = {}
    for cell, arch in cells.items():
        scores = ut.score(arch, steady, text=words)
        found |= {f"{cell}: {name}": m.value for name, m in scores.items() if m.ok}
    assert len(found) > 2 * len(steady), "most metrics have no value on any cell"
    golden(HERE / "rnn_cells.json", found, write=os.environ.get("UNTRAINED_PIN") == "1")
