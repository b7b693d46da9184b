"""What it costs to ask one transformer for every proxy at once, for each alone, and the plain way.

    python perf/sharing.py --repeats 3 [--scale probe] [--network gpt] [--json]

Networks: two recipes of the BERT space, 4 layers of 256 channels and 2 of 128, and with `gpt` a GPT-2-like
decoder, 8 layers of 512, at probe scale. Weights are random and the text is the built-in one, so no data is
needed. Every time is the median of repeats that take turns, on one thread, for a network that is built.

alone      one proxy, a fresh probe: all its passes are its own
together   all proxies that have a value on the network, one probe; passes that they need in common run once
plain      the same formula as one writes it first, `perf/_plain.py`: its own passes, all logits at once
loss pass  one forward and backward of the loss, the plain way; what the other times are multiples of
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

import untrained as ut
from _plain import PLAIN, loss
from cells import side_by_side
from untrained.apps.api import lab
from untrained.apps.probing import measure
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.metric import Measurement, Metric
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe
from untrained.nn.transformer import Transformer

AGREE = 1e-3  # relative difference of two float32 evaluations of one formula that is still rounding
MOST = 4.0  # times the dearest proxy alone that all together may take


def networks() -> dict[str, tuple[Architecture, str | None]]:
    """Architecture by name, and the only scale at which it is run where there is one."""
    bert = ut.space("bert_encoder").name
    deep = {"operation": ("sdp", "conv9", "wma", "dct"), "inner": ((1024,), (512,) * 3, (1024,), (512,))}
    flat = {"operation": ("sdp", "dft"), "inner": ((512,), (1024,))}
    gpt: Any = ut.space("gpt_decoder", family="lts")
    return {
        "4x256": (Architecture.of(bert, hidden=256, layers=4, heads=(4,) * 4, **deep), None),
        "2x128": (Architecture.of(bert, hidden=128, layers=2, heads=(2,) * 2, **flat), None),
        "gpt": (
            gpt.of(
                width=512,
                heads=[8] * 8,
                inner=[2_048] * 8,
                vocabulary=50_264,
                context=192,
                embedding=256,
                head="adaptive",
                cutoffs=(19_997, 39_997),
                div_val=2,
            ),
            "probe",
        ),
    }


class Bench:
    """One built network and the ways to ask it."""

    def __init__(self, arch: Architecture, scale: str) -> None:
        probe = lab(arch.space, scale=scale).probe(arch)
        made = probe.model
        assert isinstance(made, Transformer)
        self.model, self.batch, self.counts = made, probe.batch, probe.counts
        self.plainly: dict[str, float] = {}
        """values of the plain way, by proxy, once they were asked for"""

    def ask(self, metrics: Sequence[Metric]) -> dict[str, Measurement]:
        """Every metric, on one fresh probe."""
        fresh = Probe(self.model, self.batch, counts=lambda: self.counts)
        return measure(metrics, lambda kind, seed: fresh)

    def plain(self, name: str) -> None:
        with quiet_numbers():
            self.plainly[name] = PLAIN[name](self.model, self.batch)

    def loss_pass(self) -> None:
        with quiet_numbers():
            torch.autograd.grad(loss(self.model, self.batch), self.model.saliency_weights())


def report(arch: Architecture, scale: str, repeats: int) -> dict[str, Any]:
    """All numbers of one network."""
    bench = Bench(arch, scale)
    every = [ut.metric(name) for name in registry.names("proxy")]
    values = bench.ask(every)  # what the first call loads does not count
    asked = [m for m in every if values[m.label].ok]
    works: dict[str, Callable[[], object]] = {
        "together": partial(bench.ask, asked),
        "loss pass": bench.loss_pass,
        **{f"alone {m.name}": partial(bench.ask, [m]) for m in asked},
        **{f"plain {name}": partial(bench.plain, name) for name in PLAIN if values[name].ok},
    }
    found = side_by_side(works, repeats)
    alone = {m.name: found[f"alone {m.name}"] for m in asked}
    rows = {
        name: {"value": values[name].value, "seconds": s, "passes": s / found["loss pass"]}
        for name, s in alone.items()
    }
    for name in PLAIN:
        if values[name].ok:
            other = bench.plainly[name]
            rows[name] |= {
                "plain_seconds": found[f"plain {name}"],
                "plain_value": other,
                "agree": math.isclose(other, values[name].value or 0.0, rel_tol=AGREE),
            }
    dearest = max(alone, key=lambda name: alone[name])
    both = [name for name in PLAIN if values[name].ok]
    return {
        "architecture": arch.id,
        "scale": scale,
        "tokens": list(bench.batch.shape),
        "vocabulary": bench.model.vocabulary,
        "parameters": sum(w.numel() for w in bench.model.parameters()),
        "repeats": repeats,
        "proxies": rows,
        "no_value": sorted(m.name for m in every if not values[m.label].ok),
        "loss_pass": found["loss pass"],
        "together": found["together"],
        "separate": sum(alone.values()),
        "together_of_separate": found["together"] / sum(alone.values()),
        "dearest": dearest,
        "together_of_dearest": found["together"] / alone[dearest],
        "plain_of_alone": sum(found[f"plain {n}"] for n in both) / sum(alone[n] for n in both),
    }


def show(name: str, found: dict[str, Any]) -> None:
    sequences, length = found["tokens"]
    print(
        f"\n{name} ({found['architecture']}), {found['scale']} scale: {found['parameters']:,} parameters, "
        f"{sequences} x {length} tokens, {found['vocabulary']:,} words, {found['repeats']} repeats"
    )
    print(
        f"{'proxy':<33}{'alone s':>9}{'per s':>9}{'x loss pass':>13}{'plain s':>9}{'plain/ours':>12}  values"
    )
    for proxy, row in sorted(found["proxies"].items(), key=lambda pair: -pair[1]["seconds"]):
        line = f"{proxy:<33}{row['seconds']:9.3f}{1 / row['seconds']:9.2f}{row['passes']:13.2f}"
        if "plain_seconds" in row:
            line += f"{row['plain_seconds']:9.3f}{row['plain_seconds'] / row['seconds']:12.2f}"
            line += "  agree" if row["agree"] else f"  DIFFER: {row['value']}, plainly {row['plain_value']}"
        print(line)
    print(f"no value on this network: {', '.join(found['no_value'])}")
    print(f"loss pass, plain:            {found['loss_pass']:8.3f} s")
    print(f"each alone, summed:          {found['separate']:8.3f} s")
    print(f"all {len(found['proxies'])} together:             {found['together']:8.3f} s")
    print(f"together / separate:         {found['together_of_separate']:8.3f}")
    above = f"{found['dearest']}; at most {MOST:g} is wanted at paper scale"
    print(f"together / dearest alone:    {found['together_of_dearest']:8.3f}   ({above})")
    print(f"plain / alone, summed:       {found['plain_of_alone']:8.3f}", flush=True)


def main() -> None:
    known = networks()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", choices=("paper", "probe"), default="paper")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--network", choices=list(known), action="append", help="default: both of BERT")
    parser.add_argument("--json", action="store_true", help="print one JSON object by network instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    made = {}
    for name in args.network or ("4x256", "2x128"):
        arch, only = known[name]
        made[name] = report(arch, only or args.scale, args.repeats)
        if not args.json:
            show(name, made[name])
    if args.json:
        print(json.dumps(made, indent=1))
    rows = [(n, proxy, row) for n, found in made.items() for proxy, row in found["proxies"].items()]
    if bad := [f"{n}: {proxy}" for n, proxy, row in rows if not row.get("agree", True)]:
        raise SystemExit(f"plain and shared values differ: {', '.join(bad)}")


if __name__ == "__main__":
    main()
