"""The dashboard as a program of its own, asked over a socket; and stores for it to show."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

from untrained.core.architecture import Architecture
from untrained.core.strategy import Ask
from untrained.core.study import Question
from untrained.studies import events
from untrained.studies.events import Outcome
from untrained.studies.store import Store

GOALS = (("gain", "higher"), ("params", "lower"))


@dataclass
class Answer:
    """What came back."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)


class Served:
    """`untrained dashboard STORE` in another process, until the block ends."""

    def __init__(self, store: str | Path, *more: str) -> None:
        words = [sys.executable, "-m", "untrained", "dashboard", str(store), "--no-open", "--json", *more]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = ""
        while not said.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            said += line
        about = json.loads(said)
        self.url, self.port = about["url"], about["port"]
        self.base, _, self.token = self.url.partition("/?token=")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> tuple[int, str]:
        """Ctrl-C: the exit code, and what was said on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said

    @property
    def cookie(self) -> dict[str, str]:
        return {"Cookie": f"untrained_{self.port}={self.token}"}

    def open(
        self, path: str, *, method: str = "GET", body: str | None = None, **headers: str
    ) -> tuple[HTTPConnection, HTTPResponse]:
        """A request with just these headers, Host aside; the answer is not read yet."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(None if body is None else body.encode())
        return connection, connection.getresponse()

    def ask(self, path: str, *, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        """The whole answer to a request with just these headers."""
        connection, answer = self.open(path, method=method, body=body, **headers)
        try:
            text = answer.read().decode()
        finally:
            connection.close()
        return Answer(answer.status, text, {k.lower(): v for k, v in answer.getheaders()})

    def get(self, path: str) -> Answer:
        """What our own page gets."""
        return self.ask(path, **self.cookie)

    def post(self, path: str, body: str) -> Answer:
        """What a button of our own page does."""
        return self.ask(path, method="POST", body=body, Origin=self.base, **self.cookie)

    def news(self, study: str, until: Any) -> dict[str, Any]:
        """The first event of a study's stream that `until` holds of."""
        connection, answer = self.open(f"/events?study={study}", **self.cookie)
        try:
            assert answer.status == 200, answer.read()
            while True:
                line = answer.readline().decode()
                assert line, "the stream has ended"
                if line.startswith("data: ") and until(found := json.loads(line[6:])):
                    return dict(found)
        finally:
            answer.close()
            connection.close()


def fill(path: Path, study: str, trials: int, *, bad: bool = False, mark: str = "") -> None:
    """A study with made-up numbers; `bad`: all fail; `mark` is a word in its architectures and reasons."""
    rng = Random(study)
    question = Question("made_up", GOALS, where="params <= 8e6", strategy="random_search", version="0")
    with Store(path, write=True, study=study) as log:
        log.append("question", events.question_body(question))
        first = None
        for n in range(trials):
            arch = Architecture.of("made_up", number=n, kind=mark or "plain")
            kind, params = rng.random(), float(rng.randrange(10**6, 8 * 10**6))
            if bad or kind < 0.1:
                outcome = Outcome("failed", {}, f"gain: too wide {mark}")
            elif kind < 0.3:
                outcome = Outcome("rejected", {"params": params + 8e6}, "params <= 8e6", params / 8e6)
            else:
                outcome = Outcome("ok", {"gain": rng.gauss(0, 1) + params / 4e6, "params": params})
            trial = events.judge(question, n, Ask(arch), outcome)
            if first is not None and kind > 0.9:
                trial = events.repeat(n, first)
            elif trial.status == "ok":
                first = trial
            log.append("trial", events.trial_body(trial))
