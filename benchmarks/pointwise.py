"""A 1x1 convolution forward and backward: torch's call against the product of matrices that small networks train with.

Per shape (batch 64, channels in and out, pixels a side), one thread, float32, channels_last, in turns. Claim: up to
2**23 multiplications of a forward pass (network/layers.py's SMALL) the product is at least as fast at every shape here.

    python benchmarks/pointwise.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from archsearch.network.layers import SMALL, PointwiseConv

BATCH = 64
SHAPES = [(8, 8, 8), (16, 8, 8), (8, 16, 8), (24, 12, 2), (12, 24, 4), (32, 32, 8), (16, 64, 8), (64, 256, 2),
          (64, 64, 8), (16, 16, 16), (256, 64, 4), (64, 64, 16), (64, 16, 32)]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    document = measure(rounds=20 if asked.quick else 200)
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def measure(*, rounds: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    rows = [measured(*shape, rounds=rounds) for shape in SHAPES]
    sys.path.insert(0, str(Path(__file__).parent))
    from quickstart import machine

    return {
        "name": "pointwise",
        "figures": rows,
        "target": "no slower than the convolution wherever it is used",
        "met": all(row["ratio"] >= 1 for row in rows if row["multiplications"] <= SMALL),
        "machine": machine(),
        "versions": {"torch": importlib.metadata.version("torch")},
        "n": rounds,
    }


def measured(channels: int, out: int, side: int, *, rounds: int) -> dict[str, Any]:
    conv = PointwiseConv(channels, out, 1, bias=False).to(memory_format=torch.channels_last)
    x = torch.randn(BATCH, channels, side, side).to(memory_format=torch.channels_last).requires_grad_()
    gradient = torch.randn(BATCH, out, side, side).to(memory_format=torch.channels_last)

    def product(x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x.permute(0, 2, 3, 1), conv.weight.flatten(1)).permute(0, 3, 1, 2)

    ways = {"convolution": conv, "product": product}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 5):
        for way, run in ways.items():
            x.grad = conv.weight.grad = None
            start = time.perf_counter()
            run(x).backward(gradient)
            if turn >= 5:
                seconds[way].append(time.perf_counter() - start)
    found = {way: [1e6 * value for value in statistics.quantiles(values, n=4)] for way, values in seconds.items()}
    return {
        "shape": [channels, out, side],
        "multiplications": x.numel() * out,
        "microseconds": {way: {"median": round(median), "quartiles": [round(low), round(high)]}
                         for way, (low, median, high) in found.items()},
        "ratio": round(found["convolution"][1] / found["product"][1], 2),
    }  # fmt: skip


def lines(document: dict[str, Any]) -> str:
    text = ["channels, out, side: convolution and product, microseconds"]
    for row in document["figures"]:
        spent = [row["microseconds"][way]["median"] for way in ("convolution", "product")]
        text.append(f"{row['shape']}: {spent[0]:,} and {spent[1]:,}, {row['ratio']} times")
    return "\n".join([*text, f"n = {document['n']}; {document['machine']}"])


if __name__ == "__main__":
    raise SystemExit(main())
