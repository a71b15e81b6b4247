"""How near the predicted training memory comes to torch's measured peak.

Networks sampled within the budget of two shipped spaces, and some of the literature's. Each takes one real step after a
first one: forward, loss, backward, optimiser. Measured are the bytes that stand before it (weights, buffers, moments,
batch) and, above them, the running total of the allocator's events that torch.profiler reports, at its highest.
Stochastic depth is off, which is what the prediction is of; `as_drawn` are the same networks with their blocks dropped.

    python benchmarks/memory.py [--json] [--quick] [--networks N] [--batch N] [--threads N]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import statistics
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from archsearch import build, cost, load_space, zoo
from archsearch.architecture.memory import training_bytes
from archsearch.architecture.spec import Architecture
from archsearch.space.choices import RandomChoices
from archsearch.space.settings import TrainingSettings
from archsearch.training import recipe
from archsearch.training.optimizer import Optimizer

SPACES = Path(__file__).parent.parent / "search_spaces"
NAMES = ("resnet_cifar", "resnet_fashion")
KNOWN = (
    "resnet20_cifar", "resnet110_cifar", "resnet164_cifar", "plain20_cifar", "densenet40_12_cifar",
    "densenet_bc100_12_cifar", "highway10_32_mnist", "highway19_cifar", "wrn16_4_cifar",
    "resnet110_shortcut_exclusive_gate_cifar", "weighted_resnet118_cifar",
)  # fmt: skip
MEDIAN, WORST = 0.10, 0.25


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--networks", type=int, default=50, help="of the spaces, half of each")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    count, batch, known = (4, 8, KNOWN[:2]) if asked.quick else (asked.networks, asked.batch, KNOWN)
    sampled = {name: within_budget(name, count // 2, seed=7) for name in NAMES}
    drawn = [network for networks in sampled.values() for network in networks]
    rows = [compared(without_drops(network), batch) for network in drawn]
    literature = {name: compared(without_drops(zoo.get(name)), batch) for name in known}
    dropping = [compared(network, batch) for network in drawn if network.survival.schedule != "none"]
    found = summary([row["error"] for row in rows])
    worst = max(found["worst"], *(abs(row["error"]) for row in literature.values()))
    document = {
        "name": "memory",
        "figures": {
            "batch": batch,
            "threads": asked.threads,
            "sampled": found,
            "bfloat16": summary([compared(without_drops(n), batch, "bfloat16")["error"] for n in drawn[::8]]),
            "as_drawn": summary([row["error"] for row in dropping]) if dropping else None,
            "literature": {name: round(row["error"], 4) for name, row in literature.items()},
            "megabytes": {"least": rows_megabytes(rows, min), "most": rows_megabytes(rows, max)},
        },
        "target": f"of |predicted / measured - 1|: median at most {MEDIAN:.0%}, worst at most {WORST:.0%}",
        "met": found["median"] <= MEDIAN and worst <= WORST,
        "machine": machine(),
        "versions": {"python": platform.python_version(), "torch": importlib.metadata.version("torch")},
        "n": len(rows),
    }  # fmt: skip
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def within_budget(name: str, count: int, *, seed: int) -> list[Architecture]:
    """The first `count` random networks of a shipped space that keep its budget."""
    space, choices, found = load_space(SPACES / f"{name}.yaml"), RandomChoices(random.Random(seed)), []
    while len(found) < count:
        network = space.architecture(choices)
        if space.budget.admits(cost(network)):
            found.append(network)
    return found


def without_drops(network: Architecture) -> Architecture:
    return network.model_copy(update={"survival": network.survival.model_copy(update={"schedule": "none"})})


def compared(network: Architecture, batch: int, precision: str = "float32") -> dict[str, Any]:
    """Predicted and measured bytes, and `error`, predicted / measured - 1."""
    counted, (channels, height, width) = cost(network), network.input
    predicted = training_bytes(
        params=counted.params, saved=counted.saved, largest=counted.largest, batch=batch,
        image=channels * height * width, precision=precision,
    )  # fmt: skip
    measured = peak_of_a_step(network, batch, precision)
    return {"predicted": predicted, "measured": measured, "error": predicted / measured - 1}


def peak_of_a_step(network: Architecture, batch: int, precision: str = "float32") -> int:
    """Bytes allocated at the highest moment of a training step on the CPU, whatever stood before it included."""
    model = build(network).to(memory_format=torch.channels_last).train()
    optimizer = Optimizer(model, TrainingSettings())
    draws = torch.Generator().manual_seed(0)
    model.seed_stochastic_depth(draws)
    images = torch.randn(batch, *network.input, generator=draws).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.int64)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16) if precision == "bfloat16" else nullcontext():
            scores = model(images)
        loss = recipe.loss(scores, labels)
        torch.autograd.backward(loss)
        optimizer.step(0.1)
        model.project()

    step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    total = highest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        total += event.nbytes()
        highest = max(highest, total)
    standing = [*model.parameters(), *model.buffers(), images, labels]
    standing += [buffer for kept in optimizer.buffers.values() for buffer in kept.values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in standing) + highest


def summary(errors: list[float]) -> dict[str, float]:
    """Median and worst of the absolute errors; the bias is the median error with its sign."""
    return {
        "n": len(errors),
        "median": round(statistics.median(map(abs, errors)), 4),
        "worst": round(max(map(abs, errors)), 4),
        "bias": round(statistics.median(errors), 4),
        "lowest": round(min(errors), 4),
        "highest": round(max(errors), 4),
    }


def rows_megabytes(rows: list[dict[str, Any]], pick: Any) -> float:
    return round(pick(row["measured"] for row in rows) / 1e6, 1)


def machine() -> str:
    model, cpuinfo = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        named = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    return f"{os.cpu_count()} cores, {model}, load {os.getloadavg()[0]:.1f} at the end"


def lines(document: dict[str, Any]) -> str:
    figures = document["figures"]
    text = [f"batch {figures['batch']}; {document['machine']}"]
    text += [f"  {name}: {figures[name]}" for name in ("sampled", "bfloat16", "as_drawn", "megabytes")]
    text += [f"  {name}: {error:+.2%}" for name, error in figures["literature"].items()]
    return "\n".join([*text, f"target: {document['target']}: {'met' if document['met'] else 'missed'}"])


if __name__ == "__main__":
    sys.exit(main())
