"""The first command of the README, with fewer cells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[2] / "demo" / "search_cells.py"


def test_the_demo_runs_and_goes_on_with_its_store(tmp_path: Path) -> None:
    said = []
    for trials in (30, 40):
        command = [sys.executable, str(DEMO), "--trials", str(trials), "--store", str(tmp_path / "demo.db")]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr
        said.append(ran.stdout)
    assert "30 cells asked for, none trained" in said[0]
    assert "40 cells asked for, none trained" in said[1]
    assert all(name in said[0] for name in ("RNN", "GRU", "LSTM", "gated_memory"))
