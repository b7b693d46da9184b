"""How quick the dashboard is on a study of N trials, and how much memory its server takes.

    python perf/dashboard_million.py --trials 1000000 [--store FILE] [--json]

Makes a store as perf/open_study.py does, starts `untrained dashboard` on it in a process of its own, and asks
for each page as a browser would; peak memory comes from /proc. `start` is from the command to the
printed address; the pages come after it. `new` is the slowest page while further trials are taken in.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from open_study import STUDY, fill
from untrained.core.architecture import Architecture
from untrained.core.strategy import Ask
from untrained.studies import events
from untrained.studies.events import Outcome
from untrained.studies.store import Store

PAGES = {
    "first page": "/",
    "study": f"/study?study={STUDY}",
    "trial": f"/trial?study={STUDY}&number=4",
    "compare": f"/compare?a={STUDY}&b={STUDY}",
}
BOUNDS = {"first page": 1.0, "study": 2.0, "trial": 2.0, "compare": 2.0, "new": 2.0}  # seconds
MEMORY = 500.0  # MB
MORE = 5_000  # trials that are written while it serves


def ask(port: int, token: str, path: str) -> tuple[float, int]:
    """(seconds, bytes) of a whole answer."""
    start = time.perf_counter()
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", path, headers={"Cookie": f"untrained_{port}={token}"})
    answer = connection.getresponse()
    size = len(answer.read())
    connection.close()
    assert answer.status == 200, (path, answer.status)
    return time.perf_counter() - start, size


def write_more(location: str, trials: int) -> None:
    """Goes on with the study as a search would."""
    with Store(location, write=True, study=STUDY) as log:
        question, digest = log.digest()
        for n in range(digest.trials, digest.trials + trials):
            values = {"gain": n % 997 / 997, "params": float(10**6 + n), "latency": 9.0}
            asked = Ask(Architecture.of("made_up", number=n))
            trial = events.judge(question, n, asked, Outcome("ok", values))
            log.append("trial", events.trial_body(trial))


def peak(process: int) -> float:
    """MB at most so far."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def measured(location: str) -> dict[str, Any]:
    start = time.perf_counter()
    words = [sys.executable, "-m", "untrained", "dashboard", location, "--no-open", "--json"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        said = ""
        while not said.endswith("}\n"):
            said += server.stdout.readline() or "}\n"
        record: dict[str, Any] = {"start": time.perf_counter() - start}
        about = json.loads(said)
        token = urlsplit(about["url"]).query.partition("=")[2]
        for name, path in PAGES.items():
            record[name], record[f"{name} bytes"] = ask(about["port"], token, path)
        write_more(location, MORE)
        slowest = 0.0
        for _ in range(20):  # while it takes the new trials in
            slowest = max(slowest, ask(about["port"], token, PAGES["study"])[0])
            time.sleep(0.5)
        record["new"] = slowest
        record["memory MB"] = peak(server.pid)
    finally:
        server.terminate()
        server.wait(timeout=20)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--store", help="a store that perf/open_study.py or this script has made; it is kept")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        location = asked.store or str(Path(folder) / "study.db")
        if not Path(location).exists():
            fill(location, asked.trials, 2)
        record = measured(location)
    if asked.json:
        print(json.dumps(record))
        return
    for name, value in record.items():
        bound = BOUNDS.get(name, MEMORY if name == "memory MB" else None)
        kept = "" if bound is None else f"   {'under' if value < bound else 'OVER'} {bound:,.4g}"
        print(f"{name:18} {value:>12,.4g}{kept}")


if __name__ == "__main__":
    main()
