"""Numbers about an architecture that is not trained, and what a measurement of one says."""

from __future__ import annotations

import inspect
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from typing import Any, Literal

from untrained.core import registry
from untrained.core.errors import InvalidArchitecture, MeasurementFailed, UnknownName, UsageError

Better = Literal["higher", "lower"]
METRIC_KINDS = ("cost", "trained", "proxy")
FORMULA = ".json"  # how the name of a file ends that holds a formula
SECTIONS = (
    "Formula",
    "Shapes",
    "Cost",
    "Source",
    "Differs",
    "Worth",
    "Value",
    "Size",
    "Licence",
    "Rows",
    "Bytes",
)


@dataclass(frozen=True)
class Parts:
    """What a metric returns when it has more to say than one number."""

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)
    """further numbers by name (`layer1`, `expressivity`); each becomes `metric.part`"""
    spread: float | None = None
    """standard deviation over repeats inside the metric, in its unit"""


@dataclass(frozen=True)
class Measurement:
    """A metric's result on one network: a finite number, or a failure with its reason."""

    metric: str
    value: float | None
    better: Better
    unit: str
    seconds: float
    """wall time of this metric alone, without passes that an earlier one had made"""
    seed: int
    spread: float | None = None
    """standard deviation over draws, where there was more than one"""
    reason: str | None = None
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.value is not None

    @property
    def goodness(self) -> float:
        """The value turned so that higher is better; raises MeasurementFailed where there is none."""
        if self.value is None:
            raise MeasurementFailed(self.reason or "no value")
        return self.value if self.better == "higher" else -self.value

    def record(self, arch: str) -> dict[str, Any]:
        """The JSON record of a score, as DESIGN.md section 4 gives it."""
        head = {"arch": arch, "proxy": self.metric}
        if not self.ok:
            return {
                **head,
                "seed": self.seed,
                "seconds": self.seconds,
                "status": "failed",
                "reason": self.reason,
            }
        body = {
            k: v
            for k, v in asdict(self).items()
            if k in {"value", "better", "unit", "seconds", "seed", "spread"}
        }
        return {**head, **body, "status": "ok", **({"parts": dict(self.parts)} if self.parts else {})}


@dataclass(frozen=True)
class Metric:
    """A proxy or a cost: one function of a probe, with a card in its docstring.

    Calling it gives a `Measurement` and never raises for a bad network: what goes wrong is the reason.
    """

    name: str
    kind: str
    function: Callable[..., float | Parts]
    better: Better
    unit: str
    needs: tuple[str, ...] = ()
    """roles that the network must show (`hidden`), or `device` for what depends on timing"""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The instance stands where the function stood: help() and the registry read these three.
        for name in ("__doc__", "__module__", "__name__"):
            object.__setattr__(self, name, getattr(self.function, name))

    @property
    def card(self) -> dict[str, str]:
        """Sections of the docstring by name; the first sentence is under `Summary`."""
        return read_card(inspect.getdoc(self.function) or "")

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The keyword-only parameters of the function; the command line makes its settings of them."""
        return keyword_options(self.function)

    @property
    def label(self) -> str:
        """The name with its settings, as one types it: `hidden_covariance:layer=2`."""
        return self.name + "".join(
            f"{':' if i == 0 else ','}{k}={v}" for i, (k, v) in enumerate(sorted(self.settings.items()))
        )

    def with_options(self, **settings: Any) -> Metric:
        """The same metric with other settings; values may be text, as typed."""
        parsed = parse_options(f"{self.kind} {self.name}", self.options, settings)
        return replace(self, settings={**self.settings, **parsed})

    def __call__(self, probe: Any, *, seed: int = 0) -> Measurement:
        """Measures one network. Exceptions, NaN and infinity become a failure with the reason."""
        start = time.perf_counter()
        try:
            result = self.function(probe, **self.settings)
            whole = result if isinstance(result, Parts) else Parts(float(result))
            _check_finite(whole)
        except MeasurementFailed as error:
            return self._failed(str(error), start, seed)
        except MemoryError:
            return self._failed("out of memory", start, seed)
        except Exception as error:
            # A missing package or an option that is wrong is the user's to mend, once and for all networks.
            if isinstance(error, UsageError) and not isinstance(error, InvalidArchitecture):
                raise
            # Somebody else's forward may raise anything; its own message says it best.
            return self._failed(f"{type(error).__name__}: {error}", start, seed)
        spent = time.perf_counter() - start
        return Measurement(
            self.label, whole.value, self.better, self.unit, spent, seed, whole.spread, parts=whole.parts
        )

    def _failed(self, reason: str, start: float, seed: int) -> Measurement:
        return Measurement(
            self.label,
            None,
            self.better,
            self.unit,
            time.perf_counter() - start,
            seed,
            reason=f"{self.name}: {reason}",
        )


def _check_finite(result: Parts) -> None:
    for name, number in (("value", result.value), *result.parts.items()):
        if not math.isfinite(number):
            raise MeasurementFailed(f"the {name} is {number}: this network's signals are not finite")


def proxy(
    *, better: Better = "higher", unit: str = "", needs: str = ""
) -> Callable[[Callable[..., float | Parts]], Metric]:
    """Registers a function of a `Probe` as a proxy: a score that looks at the untrained network."""
    return _decorator("proxy", better, unit, needs)


def cost(
    *, unit: str, better: Better = "lower", needs: str = ""
) -> Callable[[Callable[..., float | Parts]], Metric]:
    """Registers a function of a `Probe` as a cost: what the network takes to store or to run."""
    return _decorator("cost", better, unit, needs)


def trained(
    *, unit: str, better: Better = "lower", needs: str = ""
) -> Callable[[Callable[..., float | Parts]], Metric]:
    """Registers a function of a `Probe` as a trained metric: it trains a copy of the network, which costs."""
    return _decorator("trained", better, unit, needs)


def _decorator(
    kind: str, better: Better, unit: str, needs: str
) -> Callable[[Callable[..., float | Parts]], Metric]:
    def register(function: Callable[..., float | Parts]) -> Metric:
        name = registry.name_of(kind, function)
        metric = Metric(name, kind, function, better, unit, tuple(needs.split()))
        registry.add(kind, metric, name=name)
        return metric

    return register


def metric(text: str) -> Metric:
    """The proxy, cost or trained metric of that name, with settings: `latency` or `fading_memory:draws=3`.

    Or the formula of a file, `found.json`: `untrained discover` writes such.

    Raises UnknownName (nearest names of all kinds offered) or UsageError for a setting it has not.
    """
    if text.strip().endswith(FORMULA):
        made: Metric = import_module("untrained.metrics.formulas").from_file(text.strip())
        return made
    name, _, tail = text.strip().partition(":")
    kind = next((kind for kind in METRIC_KINDS if name in registry.names(kind)), None)
    if kind is None:
        raise UnknownName("proxy", name, [n for kind in reversed(METRIC_KINDS) for n in registry.names(kind)])
    found: Metric = registry.get(kind, name)
    return found.with_options(**split_options(tail)) if tail else found


def split_options(text: str) -> dict[str, str]:
    """`population=20,inner=tpe(start=10,good=5)` as a mapping; raises UsageError for anything else.

    Commas within parentheses belong to the value.
    """
    pairs = [item.partition("=") for item in _outside(text) if item.strip()]
    if bad := [k for k, sep, _ in pairs if not sep]:
        raise UsageError(f"{bad[0]!r} is not an option; write it as name=value, several with commas between")
    return {k.strip(): v.strip() for k, _, v in pairs}


def _outside(text: str) -> list[str]:
    """The text, split at the commas that stand in no parenthesis."""
    items, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            items.append("")
        else:
            items[-1] += letter
    if depth != 0:
        raise UsageError(f"{text!r} has a parenthesis without its other half")
    return items


def keyword_options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a plug-in: the one place where an option is declared."""
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}


def parse_options(
    owner: str, known: Mapping[str, inspect.Parameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Turns text into the declared types. Raises UsageError naming the option and what it takes."""
    parsed = {}
    for name, value in given.items():
        if name not in known:
            listed = ", ".join(f"{p.name}={p.default}" for p in known.values()) or "none"
            raise UsageError(f"{owner} has no option {name!r}; it has: {listed}")
        kind = known[name].annotation
        try:
            parsed[name] = _parse(kind, value)
        except ValueError:
            wanted = getattr(kind, "__name__", str(kind))
            raise UsageError(f"{owner}: {name}={value!r} is not of type {wanted}") from None
    return parsed


def _parse(kind: Any, value: Any) -> Any:
    if not isinstance(value, str) or kind is str:
        if (
            isinstance(kind, type)
            and not isinstance(value, kind)
            and not (kind is float and isinstance(value, int))
        ):
            raise ValueError
        return value
    if kind is bool:
        truth = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
            value.lower()
        )
        if truth is None:
            raise ValueError
        return truth
    return kind(value) if kind in (int, float) else value


def read_card(doc: str) -> dict[str, str]:
    """A docstring as sections: `Formula:`, `Shapes:`, `Cost:`, `Source:`, `Differs:`, `Worth:`."""
    card = {"Summary": doc.partition("\n\n")[0].replace("\n", " ").strip()}
    pattern = rf"^({'|'.join(SECTIONS)}):[ \t]*(.*?)(?=^(?:{'|'.join(SECTIONS)}):|\Z)"
    for name, body in re.findall(pattern, doc, re.M | re.S):
        card[name] = "\n".join(line.strip() for line in body.strip().splitlines())
    return card
