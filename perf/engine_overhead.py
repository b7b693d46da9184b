"""What a trial costs beside its measurement, which is a constant here; and what it costs elsewhere.

python perf/engine_overhead.py --trials 100000 [--peers 300] [--only nsga2:population=100] [--json]

One search on SQLite a strategy: ask, dedup, constraint, log, tell. Beside it Optuna's random and NSGA-II
samplers, with fewer trials, as they take longer: on SQLite, on its journal and in memory. Each study runs
in a process of its own, so that memory is its own too.
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
from typing import Any

CHOICES, OPTIONS = 12, 6  # categorical decisions, and what each has to choose from
OURS = ("random_search", "regularized_evolution", "nsga2:population=100")
PEERS = ("random", "nsga2")
STORES = ("sqlite", "journal", "memory")
MORE = {"sqlite": 1, "journal": 5, "memory": 20}  # trials, in `--peers`


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--peers", type=int, default=300, help="trials of Optuna on SQLite; 0: none")
    parser.add_argument("--only", action="append", help="a strategy of ours, instead of the three")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # what the other process does
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(json.loads(args.one))))
        return
    ours = {
        name: elsewhere({"ours": name, "trials": n}) | {"trials": n}
        for name in args.only or OURS
        for n in [args.trials]
    }
    peers = {
        f"optuna {sampler}, {store}": elsewhere(
            {"peer": sampler, "store": store, "trials": args.peers * MORE[store]}
        )
        for sampler in PEERS
        for store in STORES
        if args.peers
    }
    slowest = max(r["ms_per_trial"] for r in ours.values())
    record: dict[str, Any] = {
        "ms_per_trial": slowest,
        "trials": args.trials,
        "strategies": ours,
        "peers": peers,
    }
    if peers:
        for store in STORES:
            record[f"optuna_{store}_ms"] = min(
                r["ms_per_trial"] for name, r in peers.items() if name.endswith(store)
            )
    if args.json:
        print(json.dumps(record))
        return
    print(f"{'ours, on SQLite':36} ms a trial   second half   MB")
    for name, r in ours.items():
        print(f"{name:36} {r['ms_per_trial']:10.3f} {r['ms_second_half']:13.3f} {r['mb']:5.0f}")
    for name, r in peers.items():
        ratio = r["ms_per_trial"] / slowest
        print(f"{name:36} {r['ms_per_trial']:10.3f}   {ratio:8.1f} x our slowest ({r['trials']:,} trials)")


def elsewhere(task: dict[str, Any]) -> dict[str, Any]:
    """What `one` finds, in a process of its own."""
    said = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps(task)], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return found


def one(task: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        if "ours" in task:
            found = searched(task["ours"], task["trials"], Path(folder))
        else:
            found = optuna_ran(task["peer"], task["store"], task["trials"], Path(folder))
    return {**found, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def searched(name: str, trials: int, folder: Path) -> dict[str, Any]:
    from untrained.core.architecture import Architecture
    from untrained.core.metric import Metric
    from untrained.core.space import Space, choice
    from untrained.core.strategy import make
    from untrained.core.study import Question, Trial
    from untrained.core.where import Where
    from untrained.studies.evaluator import Evaluator
    from untrained.studies.executors.here import Here
    from untrained.studies.run import run
    from untrained.studies.store import Store

    class Twelve(Space):
        name = "twelve"

        def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
            raise NotImplementedError

    for i in range(CHOICES):
        setattr(Twelve, f"c{i}", choice(*range(OPTIONS)))

    def constant(probe: Any) -> float:
        return 1.0

    def count(arch: Architecture) -> dict[str, float]:
        return {"params": float(sum(value for _, value in arch.choices))}

    where = Where.parse(f"params <= {CHOICES * (OPTIONS - 1) * 0.7}")  # turns away one random draw in 15
    evaluator = Evaluator(
        [Metric("constant", "proxy", constant, "higher", "")], lambda arch, *_: arch, where=where, count=count
    )
    question = Question(
        "twelve", (("constant", "higher"), ("params", "lower")), where.text, strategy=name, batch=8
    )
    half: list[float] = []

    def progress(done: int, total: int, trial: Trial) -> None:
        if done == trials // 2:
            half.append(time.perf_counter())

    evaluator.wanted.add("params")
    with Store(folder / "study.db", write=True) as log:
        start = time.perf_counter()
        run(
            question,
            strategy=make(name, Twelve()),
            executor=Here(evaluator),
            log=log,
            trials=trials,
            progress=progress,
        )
        end = time.perf_counter()
    return {
        "ms_per_trial": 1e3 * (end - start) / trials,
        "ms_second_half": 1e3 * (end - half[0]) / (trials - trials // 2),
    }


def optuna_ran(sampler: str, store: str, trials: int, folder: Path) -> dict[str, Any]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage: Any = {
        "sqlite": lambda: f"sqlite:///{folder / 'optuna.db'}",
        "journal": lambda: optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
        ),
        "memory": lambda: None,
    }[store]()
    chosen = {
        "random": lambda: optuna.samplers.RandomSampler(seed=0),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(population_size=100, seed=0),
    }[sampler]()
    study = optuna.create_study(
        storage=storage, sampler=chosen, directions=["maximize", "minimize"] if sampler == "nsga2" else None
    )

    def objective(trial: Any) -> Any:
        picked = [trial.suggest_categorical(f"c{i}", list(range(OPTIONS))) for i in range(CHOICES)]
        return (1.0, float(sum(picked))) if sampler == "nsga2" else 1.0

    start = time.perf_counter()
    study.optimize(objective, n_trials=trials)
    spent = time.perf_counter() - start
    return {"ms_per_trial": 1e3 * spent / trials, "trials": trials}


if __name__ == "__main__":
    main()
