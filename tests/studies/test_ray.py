"""A real Ray cluster of two nodes on this machine, and what goes wrong with one."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import toy_workers
from toy_search import Toy, rows
from toy_workers import deadly, good, question, wrong

from untrained.core.errors import MissingExtra, UsageError
from untrained.core.strategy import make
from untrained.core.study import Study, Trial
from untrained.studies.executors.here import Here
from untrained.studies.executors.on_ray import OnRay
from untrained.studies.run import run
from untrained.studies.store import Store

# Ray's own pipes and sockets are closed when Python ends, with a warning each.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
TRIALS = 150


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes of one CPU each; they find this folder's modules as the tests do."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.second = made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def searched(path: Path, executor: Any, trials: int = TRIALS, progress: Any = None) -> Study:
    asked = question()
    with Store(path, write=True) as log:
        try:
            return run(
                asked,
                strategy=make(asked.strategy, Toy()),
                executor=executor,
                log=log,
                trials=trials,
                resume=True,
                progress=progress,
            )
        finally:
            executor.close()


def test_a_node_that_dies_in_mid_search_changes_no_row(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("untrained.studies.store.WAIT", 0.0)  # every trial is reported at once
    dead: list[int] = []

    def kill(done: int, total: int, trial: Trial) -> None:
        if done == 40:
            cluster.remove_node(cluster.second, allow_graceful=False)
            dead.append(done)

    executor = OnRay(good, cluster.address, workers=2)
    assert executor.slots == 2
    searched(tmp_path / "ray.db", executor, progress=kill)
    searched(tmp_path / "here.db", Here(toy_workers.shine))
    assert dead == [40]
    assert rows(tmp_path / "ray.db") == rows(tmp_path / "here.db")


def test_what_kills_its_workers_or_hangs_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    study = searched(tmp_path / "s.db", OnRay(deadly, "local", workers=2, time_limit=20.0), 12)
    for trial in study.trials:
        kind = int(trial.architecture.id[0], 16)
        said = {0: "3 workers died of it", 1: "longer than the limit"}.get(kind, "")
        assert trial.status == ("failed" if said else "ok")
        assert said in (trial.reason or "")
    with pytest.raises(UsageError, match="the text has gone"):
        searched(tmp_path / "w.db", OnRay(wrong, "local", workers=1), 12)


def test_an_address_that_does_not_answer_is_said() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with pytest.raises(UsageError, match=f"no Ray cluster answers at 127.0.0.1:{port}"):
            OnRay(good, f"127.0.0.1:{port}")
    for address in ("nonsense", "host:port", ""):
        with pytest.raises(UsageError, match="is no address"):
            OnRay(good, address)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"untrained\[ray\]"):
        OnRay(good, "local")
