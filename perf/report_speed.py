"""How long the report of N trials takes, how large it gets, and how that compares with reading the log.

    python perf/report_speed.py --trials 100000 [--space bert_encoder] [--json]

Makes a store of architectures of a real space through the engine's own log (scores made up: the size and some
noise), then runs `untrained report STORE -o report.html` in a process of its own, and beside it one that only
reads the same trials with `untrained.load`.
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

from untrained.core.named import construct
from untrained.core.space import Space
from untrained.core.strategy import Ask
from untrained.core.study import Question
from untrained.studies import events
from untrained.studies.events import Outcome
from untrained.studies.store import Store

READ = "import sys, untrained as ut; print(len(ut.load(sys.argv[1]).trials))"


def fill(location: Path, name: str, trials: int) -> None:
    """Half of the trials are good, a third turned away, the rest failed or repeats."""
    rng, space = Random(0), construct("space", name)
    assert isinstance(space, Space)
    goals = (("depth_width_rank", "higher"), ("params", "lower"))
    question = Question(name, goals, where="params <= 8e6", strategy="random_search", version="0")
    with Store(location, write=True) as log:
        log.append("question", events.question_body(question))
        seen: dict[object, object] = {}
        for n in range(trials):
            arch = space.sample(rng)
            size, kind = float(space.count(arch)["params"]), rng.random()
            if arch in seen:
                trial = events.repeat(n, seen[arch])
            elif kind < 0.35:
                outcome = Outcome("rejected", {"params": size}, "params <= 8e6", 0.1)
                trial = events.judge(question, n, Ask(arch), outcome)
            elif kind < 0.4:
                trial = events.judge(question, n, Ask(arch), Outcome("failed", {}, "the states vanish"))
            else:
                values = {"depth_width_rank": size / 1e6 + rng.gauss(0, 1), "params": size}
                trial = events.judge(question, n, Ask(arch), Outcome("ok", values))
            seen.setdefault(arch, trial)
            log.append("trial", events.trial_body(trial))


def timed(words: list[str]) -> tuple[float, float, float]:
    """(wall seconds, processor seconds, MB at most of any child so far) of a command, start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, processor, after.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--space", default="bert_encoder")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store, page = Path(folder) / "study.db", Path(folder) / "report.html"
        fill(store, asked.space, asked.trials)
        words = [sys.executable, "-m", "untrained", "report", str(store), "-o", str(page)]
        seconds, processor, peak = timed(words)
        size = page.stat().st_size
        read = timed([sys.executable, "-c", READ, str(store)])
    record = {
        "trials": asked.trials,
        "report_seconds": seconds,
        "report_processor_seconds": processor,
        "report_peak_mb": peak,
        "page_mb": size / 1e6,
        "reading_the_log_seconds": read[0],
        "report_by_reading": seconds / read[0],
    }
    if asked.json:
        print(json.dumps(record))
        return
    for name, value in record.items():
        print(f"{name:26} {value:,.4g}")


if __name__ == "__main__":
    main()
