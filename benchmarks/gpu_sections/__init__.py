"""The sections of benchmarks/gpu_proof.py: what each measures, its seconds, and the mark that it has to pass."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Section:
    """A module of this folder, whose `run(row, setting)` fills a row; its seconds; what passes on a GPU."""

    seconds: int
    passes: str
    usual: bool = True  # whether it runs where no section is named


SECTIONS = {
    "ceilings": Section(seconds=20, passes="on an H200: copies at 3.8 TB/s, 700 TFLOP/s, 2.5 us a node of a graph"),
    "correctness": Section(
        seconds=60,
        passes="every recipe, depth both ways, a restored training, a moved end: float32 to the bit, the losses of "
        "bfloat16 within 1e-3, no fall-back",
    ),
    "waits": Section(seconds=15, passes="the host waits for the GPU nowhere within the steps, 4 times an epoch"),
    "steps": Section(
        seconds=80,
        passes="graph over eager: ResNet-20, -56 and -110 2.5 times, DenseNet 1.8, digits 4, WRN and ResNet-50 0.98; "
        "a capture 0.15 s, of ResNet-110 0.5 s; over plain PyTorch 2 times for CIFAR-size networks",
    ),
    "cudnn": Section(seconds=40, passes="cudnn_benchmark: auto is within 5 % of the best for 1, 9 and 30 epochs"),
    "packing": Section(seconds=90, passes="4 processes 1.8 times one; a context takes 350 to 750 MiB"),
    "memory": Section(
        seconds=50, passes="predicted / seen 0.8 to 1.25; of 40 networks in one process 1.3 times the largest reserved"
    ),
    "failures": Section(
        seconds=25,
        passes="out of memory and a device assert are named, the next trial trains, the neighbour is unharmed",
    ),
    "precision": Section(seconds=30, passes="the faster precision in 6 of 6 networks, or within 10 % of it"),
    "accuracy": Section(seconds=60, passes="eager, graph and bfloat16 within 0.5 points, the means of eight seeds"),
    "feeds": Section(seconds=40, passes="batches from the host at 0.9 of the speed of those on the GPU"),
    "compiled": Section(seconds=540, passes="0.9 of torch.compile's steady state, which takes minutes", usual=False),
}
TOTAL = 510  # seconds of the usual sections, the start of their processes included
