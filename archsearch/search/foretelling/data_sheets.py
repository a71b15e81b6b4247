"""GPUs by their vendors' data sheets, and how long a training step takes on one that is not at hand.

A step of a batch is foretold as a roofline (Williams 2009, doi:10.1145/1498765.1498785), never below what it takes to
launch its kernels one by one:

    seconds = max( max(work / rate, traffic / bandwidth) / efficiency, layers * launch )

- work: 6 FLOPs for each multiply-add (a product and a sum, forward; twice that, backward);
- traffic: what autograd keeps of the activations is written and read forward, read backward, and its gradient is
  written and read: 5 passes;
- efficiency 0.15 to 0.5 of the roofline, launch 80 to 300 microseconds a layer (its convolution, norm and ReLU, forward
  and backward, and its share of the optimiser, from Python): presumed, hence low and high. airbench94's 3.6e14 FLOPs in
  2.59 s on an A100, compiled, are 0.45 of its rate; small networks are bound by their launches instead.

A validation image is a forward pass: a third of the work and of the launches, two fifths of the traffic. No figure here
was measured by us: on a machine that has the GPU, `check` times real steps instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from archsearch.architecture.quantities import Cost
from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean

EFFICIENCY = (0.5, 0.15)  # of the roofline: the quick end of the range, and the slow one
LAUNCH = (80e-6, 300e-6)  # seconds a layer of a training step
WORK, TRAFFIC = 6, 5  # FLOPs for each multiply-add, and passes over what is kept, in a training step
FORWARD_WORK, FORWARD_TRAFFIC = 1 / 3, 2 / 5
MOST = 100_000  # devices of a cluster


@dataclass(frozen=True, kw_only=True)
class Device:
    """Peak dense rates in TFLOP/s (fp32 outside the tensor cores; bf16 None: it has none), memory bandwidth in TB/s."""

    name: str
    bf16: float | None
    fp32: float
    bandwidth: float
    source: str

    def rate(self, precision: str) -> float:
        """FLOP/s in that precision; `auto` is bfloat16 where the device has it."""
        return 1e12 * (self.fp32 if precision == "float32" or self.bf16 is None else self.bf16)

    def bytes_of(self, precision: str) -> int:
        """Bytes of an activation in that precision."""
        return 4 if precision == "float32" or self.bf16 is None else 2


_TABLE = (
    Device(name="H200", bf16=989, fp32=67, bandwidth=4.8, source="NVIDIA H200 Tensor Core GPU datasheet, SXM"),
    Device(name="H100", bf16=989, fp32=67, bandwidth=3.35, source="NVIDIA H100 Tensor Core GPU datasheet, SXM"),
    Device(name="H100-PCIe", bf16=756, fp32=51, bandwidth=2.0, source="NVIDIA H100 Tensor Core GPU datasheet, PCIe"),
    Device(name="A100", bf16=312, fp32=19.5, bandwidth=2.039, source="NVIDIA A100 datasheet, 80 GB SXM"),
    Device(name="A100-40GB", bf16=312, fp32=19.5, bandwidth=1.555, source="NVIDIA A100 datasheet, 40 GB"),
    Device(name="L40S", bf16=362, fp32=91.6, bandwidth=0.864, source="NVIDIA L40S datasheet"),
    Device(name="L4", bf16=121, fp32=30.3, bandwidth=0.3, source="NVIDIA L4 datasheet"),
    Device(name="A10", bf16=125, fp32=31.2, bandwidth=0.6, source="NVIDIA A10 datasheet"),
    Device(name="A6000", bf16=155, fp32=38.7, bandwidth=0.768, source="NVIDIA RTX A6000 datasheet"),
    Device(name="RTX4090", bf16=165, fp32=82.6, bandwidth=1.008, source="NVIDIA Ada GPU architecture whitepaper"),
    Device(name="RTX3090", bf16=71, fp32=35.6, bandwidth=0.936, source="NVIDIA Ampere GA102 whitepaper"),
    Device(name="V100", bf16=None, fp32=15.7, bandwidth=0.9, source="NVIDIA V100 datasheet, SXM2"),
    Device(name="T4", bf16=None, fp32=8.1, bandwidth=0.32, source="NVIDIA Turing architecture whitepaper, T4"),
)
DEVICES = {device.name.lower(): device for device in _TABLE}
CPU = "cpu"
NAMES = (*(device.name for device in _TABLE), CPU)
ALLOWED = f"NxDEVICE or NODESxNxDEVICE, DEVICE one of {', '.join(NAMES)}"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """`count` devices in all on `nodes` equal nodes; `device` None: cores such as this machine's."""

    nodes: int
    count: int
    device: Device | None

    def __str__(self) -> str:
        node = f"{self.count // self.nodes}x{CPU if self.device is None else self.device.name}"
        return node if self.nodes == 1 else f"{self.nodes}x{node}"

    @classmethod
    def of(cls, text: str) -> Cluster:
        """A cluster from its text: `8xH100`, `2x8xH100` (two nodes of eight), `16xcpu`. Raises InputError."""
        match = re.fullmatch(r"(?:(\d{1,6})x)?(\d{1,6})x([a-z][a-z0-9-]{0,30})", text.strip().lower(), re.ASCII)
        nodes, per_node, name = (match[1] or "1", match[2], match[3]) if match else ("0", "0", "")
        count = int(nodes) * int(per_node)
        if not 1 <= count <= MOST or (name != CPU and name not in DEVICES):
            hint = "a number of devices and their kind, such as 8xH100" if match is None else ""
            hint = hint or (did_you_mean(name, NAMES) if 1 <= count <= MOST else f"from 1 to {MOST:,} devices in all")
            raise refuse(f"--cluster is {text!r:.80}", allowed=ALLOWED, hint=hint)
        return cls(nodes=int(nodes), count=count, device=DEVICES.get(name))


@dataclass(frozen=True, kw_only=True)
class Step:
    """What bounds a training step, in seconds before any efficiency: the slowest says how long it takes."""

    compute: float
    memory: float
    layers: int

    @classmethod
    def of(cls, cost: Cost, device: Device, *, batch: int, precision: str, sharing: int = 1) -> Step:
        """The bounds for one batch of a network. `sharing` trials share the device, each with a part of its rate."""
        work, traffic = WORK * cost.macs, TRAFFIC * cost.saved * device.bytes_of(precision)
        rate, bandwidth = device.rate(precision), 1e12 * device.bandwidth
        return cls(compute=sharing * batch * work / rate, memory=sharing * batch * traffic / bandwidth,
                   layers=cost.layers)  # fmt: skip

    def seconds(self, *, slow: bool, forward: bool = False) -> float:
        """Seconds at the quick or the slow end of the range, of a whole step, or of a forward pass alone."""
        work, traffic = (FORWARD_WORK, FORWARD_TRAFFIC) if forward else (1, 1)
        roofline = max(self.compute * work, self.memory * traffic) / EFFICIENCY[slow]
        return max(roofline, self.layers * LAUNCH[slow] * (FORWARD_WORK if forward else 1))

    @property
    def bound(self) -> str:
        """compute, memory or launches: what takes longest in the middle of the range."""
        efficiency, launch = (EFFICIENCY[0] * EFFICIENCY[1]) ** 0.5, (LAUNCH[0] * LAUNCH[1]) ** 0.5
        sides = {"compute": self.compute / efficiency, "memory": self.memory / efficiency,
                 "launches": self.layers * launch}  # fmt: skip
        return max(sides, key=lambda side: sides[side])


def epoch_seconds(
    cost: Cost, device: Device, *, train: int, validation: int, batch: int, precision: str, sharing: int, slow: bool
) -> float:
    """Seconds of an epoch: `train` images in whole batches, and `validation` images in batches four times as large."""
    size = max(1, min(batch, train))
    step = Step.of(cost, device, batch=size, precision=precision, sharing=sharing)
    validation_size = max(1, min(4 * size, validation))
    look = Step.of(cost, device, batch=validation_size, precision=precision, sharing=sharing)
    looks = -(-validation // validation_size)
    return train // size * step.seconds(slow=slow) + looks * look.seconds(slow=slow, forward=True)
