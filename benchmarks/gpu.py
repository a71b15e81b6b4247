"""Our training step against the same network in plain eager PyTorch and in torch.compile, and against the hardware.

Images a second of whole training steps (forward, backward, optimiser) at batch 128 (resnet50: 64), in turns; and the
share of the floor: the time that three times the forward FLOPs take at the rate of a large matrix product, measured
here in the same precision, or three times the activations' bytes at the measured bandwidth, whichever is longer. Plain
is float32, NCHW, torch.optim.SGD; compile is the same under torch.compile, in our precision and memory format.
Needs torch and this package's architecture, network, zoo and training rooms alone: neither Ray, Optuna nor MLflow.

Claims on a GPU: 2 times eager for the CIFAR-size networks, 0.9 of torch.compile's steady state without compiling.
Without a GPU the first network alone is timed on the CPU, one thread, and the rest is left out with a reason.

    python benchmarks/gpu.py [--json] [--quick] [--compile] [--networks NAME...]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

import archsearch
from archsearch.space.settings import TrainingSettings
from archsearch.training.devices import device_name, resolve_device
from archsearch.training.loop import Training
from archsearch.training.measuring.precision import choose_precision
from archsearch.training.measuring.probe import synthetic

sys.path.insert(0, str(Path(__file__).parent))
from quickstart import machine

NETWORKS = (
    "resnet20_cifar",
    "resnet56_cifar",
    "resnet110_cifar",
    "wrn28_10_cifar",
    "densenet_bc100_12_cifar",
    "resnet50",
)
STEPS = 10
OVER_EAGER, OF_COMPILED = 2.0, 0.9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="the first network, three rounds")
    parser.add_argument("--compile", action="store_true", help="torch.compile beside it: a minute or more a network")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    document = measure(asked)
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    device = resolve_device("auto")
    if device.type == "cpu":
        torch.set_num_threads(1)
    names = asked.networks[:1] if asked.quick or device.type == "cpu" else asked.networks
    rounds = 3 if asked.quick else asked.rounds
    left_out = {name: "no GPU here: days of CPU for nothing" for name in asked.networks if name not in names}
    figures: dict[str, Any] = {"device": device_name(device), "left_out": left_out}
    figures["networks"] = {name: network(name, device, rounds, compiled=asked.compile) for name in names}
    small = [f for name, f in figures["networks"].items() if name.endswith("_cifar")]
    met = device.type == "cuda" and all(f["over_eager"] >= OVER_EAGER for f in small)
    met = met and all(f.get("of_compiled", 1.0) >= OF_COMPILED for f in figures["networks"].values())
    return {
        "name": "gpu",
        "figures": figures,
        "target": "on a GPU: 2 times eager for CIFAR-size networks, 0.9 times torch.compile's steady state",
        "met": met,
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("archsearch", "torch")},
        "n": rounds,
    }


def network(name: str, device: torch.device, rounds: int, *, compiled: bool) -> dict[str, Any]:
    """Images a second of each way: the median of the rounds, the least and the most."""
    architecture = archsearch.zoo.get(name)
    batch = 64 if max(architecture.input[1:]) > 64 else 128
    settings = TrainingSettings(batch_size=batch, crop_padding=4, flip=True, epochs=100_000, learning_rate=1e-9)
    threads = torch.get_num_threads()
    precision = choose_precision(architecture, settings, device=device, threads=threads).precision
    ways: dict[str, Callable[[], None]] = {
        "ours": ours(architecture, settings, device, precision),
        "eager": eager(architecture, batch, device),
    }
    start = time.perf_counter()
    if compiled:
        ways["compiled"] = eager(architecture, batch, device, precision=precision, compiled=True)
        ways["compiled"]()
    compile_seconds = time.perf_counter() - start
    found: dict[str, list[float]] = {way: [] for way in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for way, run in ways.items():
            synchronise(device)
            start = time.perf_counter()
            run()
            synchronise(device)
            found[way].append(STEPS * batch / (time.perf_counter() - start))
    rates = {way: statistics.median(each) for way, each in found.items()}
    least = floor(archsearch.cost(architecture), batch, device, precision)
    result = {
        "precision": precision,
        "images_per_second": {
            way: {"median": round(rates[way]), "min": round(min(each)), "max": round(max(each))}
            for way, each in found.items()
        },
        "over_eager": round(rates["ours"] / rates["eager"], 2),
        "share_of_floor": round(least * rates["ours"] / batch, 3),
    }
    if compiled:
        result |= {"of_compiled": round(rates["ours"] / rates["compiled"], 2), "compile_s": round(compile_seconds, 1)}
    return result


def ours(architecture: Any, settings: TrainingSettings, device: torch.device, precision: Any) -> Callable[[], None]:
    """Our loop on noise, augmentation and all."""
    images = synthetic(architecture.input, architecture.classes, train=STEPS * settings.batch_size, validation=2)
    training = Training(
        archsearch.build(architecture, seed=0), images, settings, seed=0, device=device, precision=precision
    )

    def run() -> None:
        training.train_epoch()

    return run


def eager(
    architecture: Any, batch: int, device: torch.device, *, precision: str = "float32", compiled: bool = False
) -> Callable[[], None]:
    """Plain steps on one batch that lies on the device already: no loader, no augmentation."""
    model: nn.Module = archsearch.build(architecture, seed=0).to(device).train()
    images = torch.randn(batch, *architecture.input, device=device)
    if compiled:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(architecture.classes, (batch,), device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9, momentum=0.9, nesterov=True, weight_decay=5e-4)
    forward = torch.compile(model) if compiled else model

    def run() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
                scores = forward(images)
            functional.cross_entropy(scores.float(), labels).backward()
            optimizer.step()

    return run


def floor(cost: Any, batch: int, device: torch.device, precision: str) -> float:
    """Seconds that a step takes at least: its multiply-adds, or what it has to move."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    product = best(lambda: torch.mm(a, b), device)
    words = torch.empty(2**28 if device.type == "cuda" else 2**26, device=device, dtype=torch.uint8)
    other = torch.empty_like(words)
    copy = best(lambda: other.copy_(words), device)
    adds = side**3 / product
    bytes_a_second = 2 * words.numel() / copy
    size = torch.tensor([], dtype=dtype).element_size()
    return max(3 * cost.macs * batch / adds, 3 * 2 * cost.activations * size * batch / bytes_a_second)


def best(run: Callable[[], object], device: torch.device) -> float:
    """The shortest of several runs, in seconds."""
    found = []
    for _ in range(8):
        synchronise(device)
        start = time.perf_counter()
        run()
        synchronise(device)
        found.append(time.perf_counter() - start)
    return min(found)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def lines(document: dict[str, Any]) -> str:
    text = [f"{document['figures']['device']}, n = {document['n']} rounds; {document['machine']}"]
    for name, found in document["figures"]["networks"].items():
        rates = ", ".join(f"{way} {each['median']:,}" for way, each in found["images_per_second"].items())
        text.append(f"  {name} ({found['precision']}): {rates} images/s; {found['over_eager']} times eager, "
                    f"{found['share_of_floor']:.0%} of the floor's rate")  # fmt: skip
    return "\n".join([*text, *(f"  {name}: {why}" for name, why in document["figures"]["left_out"].items())])


if __name__ == "__main__":
    raise SystemExit(main())
