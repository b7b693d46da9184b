"""How long it takes to open a study of N trials, and in how much memory.

    python perf/open_study.py --trials 1000000 [--objectives 2] [--store URL] [--json]

Makes a store through the engine's own log (random numbers in place of measurements: a fifth of the trials are
repeats, a fifth are turned away), then runs `untrained studies show` on it in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from untrained.core.architecture import Architecture
from untrained.core.strategy import Ask
from untrained.core.study import Question
from untrained.studies import events
from untrained.studies.events import Outcome
from untrained.studies.store import Store, forget

STUDY = "open_study"  # its name in the store
GOALS = (("gain", "higher"), ("params", "lower"), ("latency", "lower"))


def fill(location: str, trials: int, objectives: int) -> float:
    """Seconds a trial that writing took, making the numbers included."""
    rng = Random(0)
    question = Question("made_up", GOALS[:objectives], where="params <= 8e6", version="0")
    start = time.perf_counter()
    with Store(location, write=True, study=STUDY) as log:
        log.append("question", events.question_body(question))
        first = None
        for n in range(trials):
            arch = Architecture.of("made_up", number=n, **{f"choice{i}": rng.randrange(8) for i in range(12)})
            kind, params = rng.random(), float(rng.randrange(10**6, 8 * 10**6))
            if first is not None and kind < 0.2:
                trial = events.repeat(n, first)
            elif kind < 0.4:
                outcome = Outcome("rejected", {"params": params + 8e6}, "params <= 8e6", params / 8e6)
                trial = events.judge(question, n, Ask(arch), outcome)
            else:
                values = {"gain": rng.gauss(0, 1), "params": params, "latency": rng.gauss(9, 1)}
                trial = first = events.judge(question, n, Ask(arch), Outcome("ok", values))
            log.append("trial", events.trial_body(trial))
    return (time.perf_counter() - start) / trials


def show(location: str) -> tuple[float, float, float, int]:
    """(wall seconds, processor seconds, MB at most, trials counted) of the command, start included."""
    words = [sys.executable, "-m", "untrained", "studies", "show", location, "--study", STUDY, "--json"]
    start = time.perf_counter()
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, json.loads(said)["counts"]["trials"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--objectives", type=int, default=2, choices=(1, 2, 3))
    parser.add_argument("--store", help="a file or URL in place of a file that is removed again")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        location = asked.store or str(Path(folder) / "study.db")
        write = fill(location, asked.trials, asked.objectives)
        seconds, processor, peak, counted = show(location)
        if asked.store:
            forget(location, STUDY)
    assert counted == asked.trials
    record = {
        "trials": asked.trials,
        "objectives": asked.objectives,
        "write_ms_per_trial": 1e3 * write,
        "show_seconds": seconds,
        "show_processor_seconds": processor,
        "show_peak_mb": peak,
    }
    if asked.json:
        print(json.dumps(record))
        return
    for name, value in record.items():
        print(f"{name:24} {value:,.4g}")


if __name__ == "__main__":
    main()
