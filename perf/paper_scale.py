"""The twelve published metrics at paper scale: ours, a plain unshared baseline, the matrix products alone.

    python perf/paper_scale.py --cells 5 --rounds 3

The baseline does what one writes first: every metric runs its own passes (six forwards, five backwards in
all), node by node, with gradients of every parameter, and with torch as it comes (no flushing of denormal
numbers). The third column multiplies matrices of the same shapes as often as our passes do, and no more.
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn

import untrained as ut
from cells import laboratory, metrics, random_cells, side_by_side
from untrained.apps.probing import Lab
from untrained.metrics._spectrum import cosscore, eigscore
from untrained.nn.numerics import quiet_numbers
from untrained.nn.recurrent import ELEMENTWISE, RecurrentLM

FORWARDS, BACKWARDS = 4, 4  # of ours; the first backward reaches the weights too


def ours(lab: Lab, arch: ut.Architecture) -> None:
    with quiet_numbers():
        lab.measure(arch, metrics())


def plain(lab: Lab, arch: ut.Architecture) -> None:
    """Six forwards and five backwards, nothing shared, nothing hoisted."""
    probe = lab.probe(arch)
    model, tokens = probe.model, probe.batch.tokens
    assert isinstance(model, RecurrentLM)
    with torch.no_grad():
        _, hidden, _ = stepwise(model, model.embed(tokens))
        for states in hidden:
            eigscore(torch.stack(states, -1).transpose(0, 1).flatten(1))
    for noise in (None, 0.0, 0.1, 10.0, 100.0):
        model.zero_grad()
        e = model.embed(tokens).detach()
        if noise:
            e = e + noise * e.var(0, keepdim=True) * torch.randn(e.shape, generator=probe.generator())
        e.requires_grad_(True)
        y, hidden, active = stepwise(model, e)
        for states in hidden:
            for h in states[1:]:
                h.retain_grad()
        y.backward(torch.ones_like(y))
        if noise is None:
            sum((w.detach() * w.grad).abs().sum() for w in model.saliency_weights() if w.grad is not None)
            sum((h.detach() * h.grad).abs().sum() for states in hidden for h in states[1:])
            agree = torch.zeros(len(e), len(e))
            for a in active:
                x = (a.detach() > 0).float()
                agree += x @ x.T + (1 - x) @ (1 - x).T
            torch.linalg.slogdet(agree)
        else:
            eigscore(e.grad.flatten(1))
            cosscore(e.grad.flatten(1))


def stepwise(model: RecurrentLM, embedded: Tensor) -> tuple[Tensor, list[list[Tensor]], list[Tensor]]:
    """The network, one node and one step at a time."""
    x, hidden, active = list(embedded.unbind(1)), [], []
    for layer in model.layers:
        state = [x[0].new_zeros(len(x[0]), layer.hidden) for _ in layer.new]
        outputs, seen = [], []
        for now in x:
            seen.append(state[0])
            made: list[Tensor] = []
            for i, (op, sources) in enumerate(layer.nodes):
                ins = [
                    now if s == "x" else made[s] if isinstance(s, int) else state[int(s[7:])] for s in sources
                ]
                if op == "linear":
                    products = [v @ layer.matrices[f"{i}_{j}"] for j, v in enumerate(ins)]
                    made.append(sum(products[1:], start=products[0]) + layer.biases[str(i)])
                else:
                    made.append(ELEMENTWISE[op](*ins))
                if op.startswith("activation"):
                    active.append(made[-1])
            state = [made[i] for i in layer.new]
            outputs.append(state[0])
        x = outputs
        hidden.append(seen)
    return torch.stack(x, 1), hidden, active


def products(lab: Lab, arch: ut.Architecture) -> None:
    """As many matrix products of the same shapes as our passes make."""
    probe = lab.probe(arch)
    model, (batch, steps) = probe.model, probe.batch.shape
    assert isinstance(model, RecurrentLM)
    with quiet_numbers(), torch.no_grad():
        for layer in model.layers:
            for name, weight in layer.matrices.items():
                node, place = map(int, name.split("_"))
                once = layer.nodes[node][1][place] == "x"  # one product for all steps
                rows, calls = (batch * steps, 1) if once else (batch, steps)
                left, right = torch.randn(rows, weight.shape[0]), torch.randn(rows, weight.shape[1])
                into, back, onto = torch.empty_like(right), torch.empty_like(left), torch.empty_like(weight)
                for _ in range(calls):
                    for _ in range(FORWARDS):
                        torch.mm(left, weight, out=into)
                    for _ in range(BACKWARDS):
                        torch.mm(right, weight.T, out=back)
                    torch.mm(left.T, right, out=onto)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    lab = laboratory("paper")
    ratios_plain, ratios_products = [], []
    heads = ("ours s", "plain s", "products s", "plain/ours", "ours/products")
    print(f"{'cell':<17}" + "".join(f"{head:>15}" for head in heads))
    for arch in sound_cells(args.cells):
        works = {"ours": ours, "plain": plain, "products": products}
        found = side_by_side({k: partial(f, lab, arch) for k, f in works.items()}, args.rounds)
        ratios_plain.append(found["plain"] / found["ours"])
        ratios_products.append(found["ours"] / found["products"])
        row = [f"{found[k]:15.2f}" for k in works] + [
            f"{ratios_plain[-1]:15.2f}",
            f"{ratios_products[-1]:15.2f}",
        ]
        print(f"{arch.id:<17}{''.join(row)}", flush=True)
    alone = lab.probe(random_cells(1)[0])
    passes = count_forwards(alone)
    faster, above = statistics.median(ratios_plain), statistics.median(ratios_products)
    print(f"median: plain/ours {faster:.2f}, ours/products {above:.2f}")
    print(f"hidden_covariance by itself: {passes} forward pass")


def sound_cells(n: int) -> list[ut.Architecture]:
    """Random cells on which every metric has a number; an exploding one would end the baseline early."""
    small, chosen = laboratory("probe"), metrics()
    with quiet_numbers():
        found = (a for a in random_cells(4 * n) if all(m.ok for m in small.measure(a, chosen).values()))
        return list(islice(found, n))


def count_forwards(probe: object) -> int:
    """How often hidden_covariance runs the network."""
    model: nn.Module = probe.model  # type: ignore[attr-defined]
    calls = 0
    encode = model.encode

    def counted(*args: object, **kwargs: object) -> Tensor:
        nonlocal calls
        calls += 1
        return encode(*args, **kwargs)

    model.encode = counted  # type: ignore[method-assign,assignment]
    with quiet_numbers():
        ut.metric("hidden_covariance")(probe)
    return calls


if __name__ == "__main__":
    main()
