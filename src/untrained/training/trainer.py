"""The loop: update, look, keep; the same numbers whether or not it was interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from untrained import __version__
from untrained.core.errors import UntrainedError
from untrained.nn.batch import Batch
from untrained.nn.numerics import quiet_numbers
from untrained.training import checkpoint
from untrained.training.checkpoint import State, Tensors, tensors_of
from untrained.training.curve import Curve, Line
from untrained.training.folder import RECIPE, RESULT, Folder
from untrained.training.optimizer import adamw
from untrained.training.recipe import TrainingRecipe, luck, told
from untrained.training.schedule import rate

Progress = Callable[[int, int, Line], None]
"""called with (updates done, updates in all, the newest line of the curve)"""


TIMED = 4  # updates that `pace` takes the mean of


class Diverged(UntrainedError):
    """A loss that is no longer a number."""

    def __init__(self, what: str, step: int, folder: Path | None, kept: int) -> None:
        self.step = step
        where = f"\n  kept: the state after step {kept}, in {folder}" if folder else ""
        super().__init__(
            f"training diverged: {what} at step {step}.{where}\n"
            "  begin anew with a smaller peak_lr, or a longer warmup: --recipe NAME:peak_lr=3e-4,warmup=0.1"
        )


@dataclass
class Trained:
    """What a training ended with; the model has the weights of its best examination."""

    model: nn.Module
    recipe: TrainingRecipe
    marks: dict[str, float]
    """of the best examination: `loss` in nats a target, and more by recipe"""
    best_step: int
    steps: int
    """updates that were made; fewer than asked for where it stopped early"""
    seconds: float
    curve: list[Line] = field(default_factory=list)
    folder: Path | None = None


def total_steps(recipe: TrainingRecipe, data: Any) -> int:
    """Updates that a recipe takes on this data."""
    return recipe.steps or max(1, math.ceil(recipe.epochs * recipe.examples(data) / recipe.batch))


def fit(
    model: nn.Module,
    recipe: TrainingRecipe,
    data: Any,
    *,
    device: str = "cpu",
    threads: int = 1,
    folder: Folder | None = None,
    about: Mapping[str, Any] | None = None,
    result: Mapping[str, Any] | None = None,
    board: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Trains a model in place, in the precision that the recipe says; on a CPU with so many threads.

    What `data` is, the recipe says. With a `folder`, the state is kept after each examination, and a training
    that the folder already holds goes on: on a CPU it ends with the same weights, bit for bit, as if it had
    never been interrupted, if the number of threads is the same. `about` is what must be the same for that,
    besides recipe and data; `result` is written with the result. Raises Diverged where the loss is no longer
    a number, and UntrainedError where something cannot be written; what was kept before stays.
    """
    recipe.check(data, model)
    known = {"recipe": recipe.name, "settings": recipe.settings(), "data": data.fingerprint, **(about or {})}
    with quiet_numbers(threads) if device == "cpu" else nullcontext():
        run = _Run(model.to(device), recipe, data, device, folder, known, progress, board)
        try:
            return run.all(dict(result or {}))
        finally:
            run.curve.close()


def pace(
    model: nn.Module, recipe: TrainingRecipe, data: Any, *, device: str = "cpu", threads: int = 1
) -> tuple[float, float]:
    """Seconds of an update and of an examination, from a few of them on a copy of the model."""
    with quiet_numbers(threads) if device == "cpu" else nullcontext():
        run = _Run(deepcopy(model).to(device), recipe, data, device, None, {}, None, False)
        run._update()  # the first one is slower than the others
        start = time.perf_counter()
        for _ in range(TIMED):
            run._update()
        middle = time.perf_counter()
        run._examine()
        return (middle - start) / TIMED, time.perf_counter() - middle


class _Run:
    """One training under way."""

    def __init__(
        self,
        model: nn.Module,
        recipe: TrainingRecipe,
        data: Any,
        device: str,
        folder: Folder | None,
        about: Mapping[str, Any],
        progress: Progress | None,
        board: bool,
    ) -> None:
        self.model, self.recipe, self.data = model, recipe, data
        self.device, self.folder, self.about = torch.device(device), folder, about
        self.progress = progress or (lambda done, total, line: None)
        self.steps = total_steps(recipe, data)
        self.optimizer = adamw(model, recipe)
        self.state, self.best = State(), Tensors()
        self.started = time.perf_counter()
        self.curve = Curve(
            folder.curve if folder else None, board=folder.path / "board" if folder and board else None
        )

    def all(self, result: dict[str, Any]) -> Trained:
        """From the beginning, or from the checkpoint, to the end."""
        self._begin()
        while not self.state.finished:
            line = self._update()
            if self.state.step % self.recipe.eval_every == 0 or self.state.step == self.steps:
                line = self._examine()
            self.progress(self.state.step, self.steps, line)
        checkpoint.load_tensors(self.model, self.best, "the best examination")
        self.model.eval()
        if self.folder is not None:
            self.folder.keep(self.model, self.best, step=self.state.best_step, marks=self.state.best)
            self.folder.write(RESULT, self._result() | result)
        s = self.state
        place = self.folder.path if self.folder else None
        return Trained(
            self.model, self.recipe, s.best, s.best_step, s.step, s.seconds, self.curve.lines, place
        )

    # --- the beginning and the end -----------------------------------------------------------------

    def _begin(self) -> None:
        if self.folder is not None and self.folder.checkpoint.is_file():
            place = self.folder.checkpoint
            self.state, self.best = checkpoint.load(place, self.model, self.optimizer, self.about)
            self.curve.begin(self.state.step)
            self.started -= self.state.seconds
            return
        if self.folder is not None:
            self.folder.write(RECIPE, {**self.about, "versions": _versions()})
        self.curve.begin(0)
        self._examine()  # what no training gives; it also finds out now whether the disk has room

    def _result(self) -> dict[str, Any]:
        s = self.state
        return {"step": s.step, "best_step": s.best_step, "marks": s.best, "seconds": round(s.seconds, 3)}

    # --- a step ------------------------------------------------------------------------------------

    def _update(self) -> Line:
        """One update of the weights; raises Diverged before a bad one is made."""
        recipe, step = self.recipe, self.state.step
        lr = rate(recipe, step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.model.train()
        mean = self._gradients(recipe.lesson(self.data, step))
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip or math.inf))
        if not math.isfinite(mean) or not math.isfinite(norm):
            what = f"the loss is {mean}" if not math.isfinite(mean) else f"the gradient has length {norm}"
            raise self._diverged(what, step + 1)
        self.optimizer.step()
        self.state.step += 1
        self.state.lost += mean
        self.state.seen += 1
        line = {"step": self.state.step, "loss": self.state.lost / self.state.seen, "lr": lr, "norm": norm}
        if self.state.step % recipe.log_every == 0 or self.state.step == self.steps:
            self._log(line)
            self.state.lost, self.state.seen = 0.0, 0
        return line

    def _gradients(self, whole: Batch) -> float:
        """Mean loss of a batch, and its gradients, a part at a time."""
        self.optimizer.zero_grad(set_to_none=True)
        targets = max(1, told(whole.targets))
        lost = 0.0
        with self._own_luck(self.state.step):
            parts = zip(
                *(t.chunk(self.recipe.accumulation) for t in (whole.tokens, whole.targets)), strict=True
            )
            for tokens, aims in parts:
                batch = Batch(tokens, aims).to(self.device)
                with self._precision():
                    mean = self.recipe.lost(self.model, batch) / targets
                mean.backward()  # type: ignore[no-untyped-call]
                lost += float(mean.detach())
        return lost

    def _examine(self) -> Line:
        """Marks on the held-out data; the state is kept, and the weights where they are the best so far."""
        self.model.eval()
        with torch.inference_mode(), self._precision(), self._own_luck(-1):
            batches = (b.to(self.device) for b in self.recipe.exam(self.data))
            marks = self.recipe.marks(self.data, self.model, batches)
        state = self.state
        if not math.isfinite(marks["loss"]):
            raise self._diverged(f"the held-out loss is {marks['loss']}", state.step)
        better = not state.best or marks["loss"] < state.best["loss"]
        if better:
            state.best, state.best_step, state.since = marks, state.step, 0
            self.best = {n: t.clone() for n, t in tensors_of(self.model).items()}
        else:
            state.since += 1
        patience = self.recipe.patience
        state.finished = state.step >= self.steps or bool(patience and state.since >= patience)
        line = {"step": state.step, "held_out": marks}
        self._log(line)
        self._keep(better)
        return line

    def _keep(self, better: bool) -> None:
        if self.folder is None:
            return
        state = self.state
        if better:
            self.folder.keep(self.model, self.best, step=state.best_step, marks=state.best)
        checkpoint.save(
            self.folder.checkpoint, self.model, self.optimizer, state, self.best, dict(self.about)
        )

    # --- the small parts ---------------------------------------------------------------------------

    def _log(self, line: Line) -> None:
        self.state.seconds = time.perf_counter() - self.started
        self.curve.add({**line, "seconds": round(self.state.seconds, 3)})

    def _precision(self) -> Any:
        wanted = self.recipe.precision
        half = wanted == "bfloat16" or (wanted == "auto" and self.device.type == "cuda")
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half)

    @contextmanager
    def _own_luck(self, step: int) -> Iterator[None]:
        """Dropout draws from torch's global generator: it gets a seed for each step, and its state back."""
        cuda = self.device.type == "cuda"
        with torch.random.fork_rng(devices=[self.device] if cuda else []):
            seed = int(torch.randint(2**62, (), generator=luck(self.recipe.seed, step)))
            torch.default_generator.manual_seed(seed)
            if cuda:
                torch.cuda.manual_seed(seed)
            yield

    def _diverged(self, what: str, step: int) -> Diverged:
        kept = step - 1
        if self.folder is not None and self.folder.checkpoint.is_file():
            kept = checkpoint.read_tensors(self.folder.checkpoint)[1]["state"]["step"]
        return Diverged(what, step, self.folder.path if self.folder else None, kept)


def _versions() -> dict[str, str]:
    return {"untrained": __version__, "torch": str(torch.__version__)}
