"""Does TraceNAS choose better sub-networks than plainer scores? Writes docs/pruning.md, whatever it says.

For each parent of perf/parents.py:
- at two shares of its parameters, an evolution by each score, five times with other luck, and the held-out
  perplexity of its winner; beside it one random sub-network for each luck, and the uniform one;
- sub-networks drawn at random at one size, their scores, and their held-out perplexity as they are cut and
  after a short recovery training: how each score orders them;
- files and latency of the parent and of its winners, side by side.

Everything that is measured is kept, line by line, in FOLDER/pruning.jsonl: stop it and start it again.

python perf/pruning.py --data DIR --parents FOLDER [--only llama] [--write docs/pruning.md] [--quick]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from scipy import stats

from untrained.apps._prune_files import size_on_disk, write
from untrained.apps._prune_looks import perplexity, side_by_side
from untrained.apps.probing import Lab
from untrained.apps.searching import search
from untrained.core.architecture import Architecture
from untrained.core.metric import metric
from untrained.core.statistics import bootstrap, kendall_tau, spearman_rho
from untrained.core.text import Corpus, load
from untrained.nn.numerics import quiet_numbers
from untrained.nn.pretrained.parent import Parent, parent_at
from untrained.spaces.llm_subnet import LlmSubnet
from untrained.training.data.language import Language, Tokens
from untrained.training.data.tokenizer import Bytes
from untrained.training.recipes.causal_lm import CausalLM
from untrained.training.trainer import fit

PARENTS = ("llama", "qwen3", "gpt2")
PROXIES = (
    "trace_nas",
    "calibration_loss",
    "wanda",
    "flap",
    "weight_magnitude",
    "block_influence",
    "random_score",
)
SEARCHED = tuple(p for p in PROXIES if p != "random_score")
SHARES = (0.7, 0.5)
MIDDLE = 0.6  # the size at which scores are correlated
SEEDS = 5
BOUNDS = {"align": 16, "shortest": 0.5, "narrowest": 0.25, "sequences": 8, "length": 64}
STRATEGY = "regularized_evolution:population=8,tournament=3"
TRIALS, NETS, STEPS = 16, 40, 20
RECOVERY = {"batch": 4, "length": 64, "peak_lr": 1e-3, "warmup": 0.1}
WINDOWS, WIDE = 16, 129  # held-out windows, and their tokens


class Notes:
    """Lines of a file by what they are about; what is there is not measured again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.rows = {self._key(r): r for r in map(json.loads, filter(_whole, lines))}

    @staticmethod
    def _key(row: dict[str, Any]) -> str:
        return json.dumps(row["about"])

    def has(self, *about: Any) -> bool:
        return json.dumps(list(about)) in self.rows

    def add(self, *about: Any, **found: Any) -> None:
        row = {"about": list(about), **found}
        self.rows[self._key(row)] = row
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row)[:150], flush=True)

    def of(self, *about: Any) -> list[dict[str, Any]]:
        """Rows whose subject begins like this."""
        return [r for r in self.rows.values() if r["about"][: len(about)] == list(about)]


def _whole(line: str) -> bool:
    """Whether a line is whole: the last one of a killed run need not be."""
    try:
        return bool(json.loads(line))
    except ValueError:
        return False


class Bench:
    """One parent, its texts, and what is asked of its sub-networks."""

    def __init__(self, folder: Path, calibration: Corpus, held_out: Corpus) -> None:
        self.folder, self.calibration = folder, calibration
        self.parent: Parent = parent_at(str(folder))
        self._spaces: dict[float, LlmSubnet] = {}
        ids = self.parent.reader.ids(held_out.text)
        step = (len(ids) - WIDE) // WINDOWS
        self.held_out = torch.tensor([ids[i * step : i * step + WIDE] for i in range(WINDOWS)])
        train = np.frombuffer(calibration.text.encode(), np.uint8)
        cut = len(train) - 2_000
        self.language = Language(
            Tokens(train[:cut], cut), Tokens(train[cut:], 2_000), Bytes(), calibration.source
        )

    def space(self, share: float) -> LlmSubnet:
        if share not in self._spaces:
            self._spaces[share] = self._space(share)
        return self._spaces[share]

    def _space(self, share: float) -> LlmSubnet:
        made = LlmSubnet(parent=str(self.folder), low=share - 0.02, high=share, **BOUNDS)  # type: ignore[arg-type]
        made.corpus = self.calibration
        return made

    def lab(self, share: float) -> Lab:
        return Lab(self.space(share), "paper", self.calibration)

    def net(self, share: float, arch: Architecture) -> Any:
        origin = self.space(share).origin(arch)
        return self.parent.build(origin.cut)

    def perplexity(self, net: Any) -> float:
        return perplexity(net, self.held_out)

    def recovered(self, net: Any, seed: int) -> float:
        recipe = CausalLM(steps=STEPS, eval_every=10 * STEPS, eval_windows=1, seed=seed, **RECOVERY)
        made = fit(net, recipe, self.language)
        return self.perplexity(made.model)


def searches(bench: Bench, name: str, notes: Notes, seeds: int) -> None:
    """Evolutions by each score, random sub-networks and the uniform one, at each budget."""
    for share in SHARES:
        space = bench.space(share)
        if not notes.has("uniform", name, share):
            _judge(bench, notes, ("uniform", name, share), share, space.uniform(), 0.0)
        for seed in range(seeds):
            if not notes.has("random", name, share, seed):
                drawn = space.sample(Random(f"random/{seed}"))
                _judge(bench, notes, ("random", name, share, seed), share, drawn, 0.0)
            for proxy in SEARCHED:
                if notes.has(proxy, name, share, seed):
                    continue
                start = time.process_time()
                up = metric(proxy).better == "higher"
                study = search(
                    bench.lab(share),
                    maximize=proxy if up else (),
                    minimize=() if up else proxy,
                    strategy=STRATEGY,
                    trials=TRIALS,
                    seed=seed,
                    batch=1,
                )
                assert study.best is not None
                spent = time.process_time() - start
                _judge(bench, notes, (proxy, name, share, seed), share, study.best, spent)


def _judge(
    bench: Bench, notes: Notes, about: Iterable[Any], share: float, arch: Architecture, spent: float
) -> None:
    net = bench.net(share, arch)
    notes.add(
        *about,
        perplexity=bench.perplexity(net),
        share=bench.space(share).count(arch)["params"] / bench.parent.geometry.params,
        layers=sum(h > 0 for h in arch.heads),
        seconds=round(spent, 2),
        arch=json.loads(arch.to_json()),
    )


def correlations(bench: Bench, name: str, notes: Notes, nets: int) -> None:
    """Random sub-networks of one size: scores, perplexity, and perplexity after recovery."""
    lab = bench.lab(MIDDLE)
    for n in range(nets):
        if notes.has("net", name, n):
            continue
        arch = lab.space.sample(Random(f"net/{n}"))
        scores, seconds = {}, {}
        for proxy in PROXIES:
            found = metric(proxy)(lab.probe(arch))
            scores[proxy], seconds[proxy] = found.goodness, round(found.seconds, 3)
        net = bench.net(MIDDLE, arch)
        raw = bench.perplexity(net)
        start = time.process_time()
        notes.add(
            "net",
            name,
            n,
            scores=scores,
            seconds=seconds,
            params=lab.space.count(arch)["params"],
            layers=sum(h > 0 for h in arch.heads),
            perplexity=raw,
            recovered=bench.recovered(net, n),
            recovery_seconds=round(time.process_time() - start, 2),
        )


def sizes(bench: Bench, name: str, notes: Notes) -> None:
    """Files and latency of the parent and of what was found with the first luck, in turns."""
    if notes.has("size", name):
        return
    nets: dict[str, Any] = {"parent": bench.parent.build(bench.parent.whole())}
    cuts: dict[str, Any] = {"parent": bench.parent.whole()}
    for share in SHARES:
        for kind, row in (
            ("uniform", notes.of("uniform", name, share)),
            ("trace_nas", notes.of("trace_nas", name, share, 0)),
        ):
            if row:
                arch = Architecture.from_json(row[0]["arch"])
                label = f"{kind} {share}"
                cuts[label] = bench.space(share).origin(arch).cut
                nets[label] = bench.parent.build(cuts[label])
    times = side_by_side(list(nets.values()), 128)
    files = []
    for cut in cuts.values():
        with tempfile.TemporaryDirectory() as place:
            parent = bench.parent
            write(Path(place), parent.settings(cut), parent.tensors(cut), parent.dtype, [])
            files.append(size_on_disk(Path(place)))
    notes.add("size", name, names=list(nets), milliseconds=times, bytes=files)


# --- the page ----------------------------------------------------------------------------------------------


def interval(values: list[float]) -> str:
    """Mean and its 95 % interval over seeds (Student's t)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.2f}"
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.2f} ± {half:.2f}"


def search_table(notes: Notes, names: list[str], share: float) -> list[str]:
    lines = [f"| chosen by | {' | '.join(names)} |", f"|---|{'--:|' * len(names)}"]
    kinds = [*SEARCHED, "random", "uniform"]

    def cell(kind: str, name: str) -> str:
        rows = notes.of(kind, name, share)
        return f"{interval([r['perplexity'] for r in rows])} ({len(rows)})" if rows else "-"

    best = {
        name: min(
            (k for k in kinds if notes.of(k, name, share)),
            key=lambda k, name=name: statistics.fmean(r["perplexity"] for r in notes.of(k, name, share)),
            default="",
        )
        for name in names
    }
    for kind in kinds:
        cells = [f"**{cell(kind, n)}**" if best[n] == kind else cell(kind, n) for n in names]
        lines.append(f"| {f'`{kind}`' if kind in SEARCHED else kind} | {' | '.join(cells)} |")
    return lines


def correlation_table(notes: Notes, names: list[str], truth: str) -> list[str]:
    lines = [f"| score | {' | '.join(names)} | seconds |", f"|---|{'--:|' * (len(names) + 1)}"]
    for proxy in (*PROXIES, "params", "layers"):
        cells, seconds = [], []
        for name in names:
            rows = notes.of("net", name)
            if len(rows) < 3:
                cells.append("-")
                continue
            score = [float(r[proxy]) if proxy in r else r["scores"][proxy] for r in rows]
            good = [-r[truth] for r in rows]
            if len(set(score)) < 2:
                cells.append("all alike")
                continue
            low, high = bootstrap(kendall_tau, score, good)
            cells.append(
                f"{kendall_tau(score, good):.2f} [{low:.2f}, {high:.2f}] / {spearman_rho(score, good):.2f}"
            )
            seconds += [r["seconds"][proxy] for r in rows[1:] if proxy in r["seconds"]]
        spent = f"{statistics.median(seconds):.3f}" if seconds else ""
        lines.append(f"| {f'`{proxy}`' if proxy in PROXIES else proxy} | {' | '.join(cells)} | {spent} |")
    return lines


def size_table(notes: Notes, names: list[str]) -> list[str]:
    lines = ["| parent | sub-network | file | latency of 128 tokens |", "|---|---|--:|--:|"]
    for name in names:
        for row in notes.of("size", name):
            whole, slow = row["bytes"][0], row["milliseconds"][0]
            for label, size, took in zip(row["names"], row["bytes"], row["milliseconds"], strict=True):
                lines.append(
                    f"| {name} | {label} | {size / 1e6:.2f} MB ({size / whole:.2f}) |"
                    f" {took:.2f} ms ({took / slow:.2f}) |"
                )
    return lines


HEAD = """# Pruning pretrained decoders

Made by `{command}`. The parents are small decoders on bytes of English, trained by `perf/parents.py` on the
validation part of WikiText-2; held out is its test part. A model of one million weights on bytes is no 7 B
model on words: read this as a check that the machinery tells good from bad, not as a verdict on these scores
at scale.

{parents}

Budgets count all parameters, tables and head included (tied, so once). Calibration: {sequences} x
{length} tokens of the training text. Perplexity is per byte, on {windows} windows of {wide} held-out tokens.
Steps of MLP width: {align}; at least {shortest:.0%} of the layers, and {narrowest:.0%} of a layer's heads and
channels, stay.

## What each score chooses

Held-out perplexity of the winner, nothing trained after the cut: mean ± 95 % interval over the searches
(their number in brackets; {seeds} were planned). Each search looks at {trials} sub-networks (`{strategy}`).
`random` is one draw for each luck, `uniform` takes the same from every layer. The lowest mean of a column is
bold; where intervals overlap that says little.
"""
ORDERS = """## How each score orders sub-networks

Kendall's tau-b [95 % bootstrap interval] / Spearman's rho with the quality (minus perplexity) of random
sub-networks of {low:.0%} to {high:.0%} of the parameters ({nets}). Higher is better; each score in its own
direction. `params` and `layers` are the plain rivals. Seconds: median for one sub-network, on a shared
machine, what is made once for a parent left out.

After {steps} steps of recovery ({batch} x {length} tokens each):
"""
# Written by hand after the run whose numbers the page has; read it again when they change.
READ = """## What this says

- As they are cut, `calibration_loss` orders sub-networks best on all three parents (0.81 to 0.90 against
  0.66 to 0.76 of `trace_nas`), which is no wonder: it is the same number on another text. It costs half as
  much. After a short training the two are alike (0.67, 0.67 and 0.44 against 0.68, 0.73 and 0.37; all
  intervals overlap), and on the GPT-2-like parent the number of layers, 0.42, does as well as either.
- In a search, nothing trained after the cut, the two are level at 70 %. At 50 % `calibration_loss`
  finds better sub-networks of the Llama-like and the Qwen3-like parent; the intervals overlap.
- `wanda`, `flap`, `weight_magnitude` and `block_influence` are far cheaper. Searched for, on the Llama-like
  and the Qwen3-like parent they end about where one random draw ends or behind it: a sum over what stays
  says little of which layers must stay. On the GPT-2-like parent `flap` and `wanda` end where the dear
  scores end, ahead of a random draw.
- A parent must have learned something: of a GPT-2-like one that was stopped at 900 steps (2.234 nats a byte)
  all scores found sub-networks alike, and `trace_nas` had 0.61 where it has 0.37 now.
- Without training after the cut: `--proxy calibration_loss`. The default stays `trace_nas`, which was
  made for what comes after, and here is not surely worse for it.
"""
SMALLER = """## Smaller and faster

Files of weights, and the median of 20 forward passes over 128 tokens in turns on one thread; in brackets over
the parent's.
"""


PAPER = """## A parent of eight billion, on paper

The shape of Llama 3 8B ({params:,} parameters) without its weights: {draws} sub-networks of 4.55 to 4.7
billion parameters (at least 28 layers, widths in steps of 32) are drawn, checked and counted in closed
form in {ms:.1f} ms each, and mutated in {mutate:.1f} ms. With weights, heads and channels are ranked
with one layer in memory at a time: with 220 M parameters in 458 MiB, where loading the parent whole took
1,755 MiB (`python perf/streamed.py --layers 32 --tokens 256`). `wanda`, `flap`, `weight_magnitude` and
`block_influence` need no more than that; `trace_nas` and `calibration_loss` hold the sub-network in
float32, and `trace_nas` the gradients of the parent besides. No GPU was at hand, so nothing of that size
has been searched.
"""
EIGHT_BILLION = {
    "model_type": "llama",
    "vocab_size": 128_256,
    "hidden_size": 4_096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14_336,
    "max_position_embeddings": 8_192,
    "tie_word_embeddings": False,
}


def on_paper(draws: int = 50) -> str:
    """What it takes to draw sub-networks of a parent whose weights nobody has here."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "config.json"
        path.write_text(json.dumps(EIGHT_BILLION), encoding="utf-8")
        space = LlmSubnet(parent=str(path), low=4.55e9, high=4.7e9, align=32, shortest=0.85)
        space.sample(Random("first"))  # reads the text
        start = time.process_time()
        archs = [space.sample(Random(i)) for i in range(draws)]
        assert all(4.55e9 <= space.count(a)["params"] <= 4.7e9 for a in archs)
        drawn, start = time.process_time() - start, time.process_time()
        for i, arch in enumerate(archs):
            space.mutate(arch, Random(i))
        spent = time.process_time() - start
        return PAPER.format(
            params=space.geometry.params, draws=draws, ms=1e3 * drawn / draws, mutate=1e3 * spent / draws
        )


def page(notes: Notes, names: list[str], command: str) -> str:
    """The whole page from what is there."""
    parents = "\n".join(f"- {r['about'][1]}: {r['said']}" for r in notes.of("parent"))
    more = {"seeds": SEEDS, "trials": TRIALS, "strategy": STRATEGY, "windows": WINDOWS, "wide": WIDE - 1}
    lines = [HEAD.format(command=command, parents=parents, **BOUNDS, **more)]
    for share in SHARES:
        lines += [f"At {share:.0%} of the parameters:", "", *search_table(notes, names, share), ""]
    nets = ", ".join(f"{n}: {len(notes.of('net', n))}" for n in names)
    train = {"steps": STEPS, "batch": RECOVERY["batch"], "length": RECOVERY["length"]}
    lines += [ORDERS.format(low=MIDDLE - 0.02, high=MIDDLE, nets=nets, **train)]
    lines += [*correlation_table(notes, names, "recovered"), "", "As they are cut:", ""]
    lines += [
        *correlation_table(notes, names, "perplexity"),
        "",
        READ,
        SMALLER,
        *size_table(notes, names),
        "",
        on_paper(),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--parents", type=Path, required=True)
    parser.add_argument("--only", choices=PARENTS, action="append")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--page-only", action="store_true", help="write the page from what is there")
    parser.add_argument("--quick", action="store_true", help="one luck, four sub-networks: to try it")
    asked = parser.parse_args()
    notes = Notes(asked.parents / ("quick.jsonl" if asked.quick else "pruning.jsonl"))
    names = [n for n in asked.only or PARENTS if (asked.parents / n / "result.json").is_file()]
    calibration = load(asked.data / "text" / "wikitext2_valid.txt")
    held_out = load(asked.data / "text" / "wikitext2_test.txt")
    torch.set_num_threads(1)
    with quiet_numbers():
        for name in [] if asked.page_only else names:
            bench = Bench(asked.parents / name, calibration, held_out)
            if not notes.has("parent", name):
                notes.add("parent", name, said=_described(bench))
            correlations(bench, name, notes, 4 if asked.quick else NETS)
            searches(bench, name, notes, 1 if asked.quick else SEEDS)
            sizes(bench, name, notes)
    command = "python perf/pruning.py --data DIR --parents FOLDER --write docs/pruning.md"
    if asked.write:
        asked.write.write_text(page(notes, names, command), encoding="utf-8")


def _described(bench: Bench) -> str:
    result = json.loads((bench.folder / "result.json").read_text(encoding="utf-8"))
    marks, counted, whole = result["marks"], result["baselines"], bench.parent.geometry
    steps, loss = result["step"], marks["loss"]
    own = bench.perplexity(bench.parent.build(bench.parent.whole()))
    return (
        f"{whole.params:,} parameters, {whole.layers} layers of width {whole.width}, {whole.heads} heads"
        f" ({whole.kv_heads} key/value), MLP {whole.inner}; {steps} steps; {loss:.3f} nats a"
        f" byte held out, against {counted['bigram']:.3f} for counting pairs of bytes and"
        f" {counted['unigram']:.3f} for single ones; perplexity on the windows used here {own:.2f}"
    )


if __name__ == "__main__":
    main()
