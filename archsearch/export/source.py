"""A network as a file of plain PyTorch, written from its plan: it imports torch alone, and its weights have the
names that they have in archsearch.

The walk over the ops is that of `network.build`: a table op -> layer (layers.py), units grouped into classes
(units.py, classes.py), stages as loops (stages.py). No text of a user becomes source.
"""

from __future__ import annotations

import inspect
import re

from archsearch.architecture.canonical import digest
from archsearch.architecture.composites import Sequence
from archsearch.architecture.cost import cost
from archsearch.architecture.plan import plan
from archsearch.architecture.quantities import Shape
from archsearch.architecture.spec import Architecture
from archsearch.export.classes import class_text
from archsearch.export.code import laid
from archsearch.export.stages import Schedule, section, units
from archsearch.export.units import classes
from archsearch.network import layers as lacking

LACKING = ("ZeroPadShortcut", "Reweighted", "ChannelWeights", "MaxAndMean", "AcrossChannels", "LearnedGain")

NAMED = '''\
def named(**layers: nn.Module) -> nn.Sequential:
    """Layers one after another, each under its name."""
    return nn.Sequential(OrderedDict(layers))'''

END = '''\
def initialise(network: nn.Module) -> None:
    """Weights to train from: He et al. 2015, arXiv:1502.01852; biases of 0, but for gates."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
    for name, parameter in network.named_parameters():
        if name.endswith("bias") and ".gate." not in name:
            nn.init.zeros_(parameter)


def build() -> Network:
    """The network with new weights."""
    network = Network()
    initialise(network)
    return network


def load(file: str | Path) -> Network:
    """The network with the weights of a safetensors file, in eval mode."""
    content = Path(file).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    state = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__":
            first, end = entry["data_offsets"]
            numbers = torch.frombuffer(bytearray(content[start + first : start + end]), dtype=DTYPES[entry["dtype"]])
            state[name] = numbers.reshape(entry["shape"])
    network = build()
    network.load_state_dict(state)
    return network.eval()
'''
DTYPES = 'DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}'


def source(architecture: Architecture) -> str:
    """The text of model.py: `build()` is the network, `load(file)` the network with a safetensors file's weights.

    Raises InputError where the image runs out.
    """
    planned, x = plan(architecture), Shape(*architecture.input)
    placed = list(units(planned, x))
    made, schedule = classes(placed), Schedule(placed)
    parts = [class_text(each) for each in made]
    if schedule.linear:
        parts.append(schedule.text())
    sections = [(name, section(part, into, made, schedule)) for name, part, into in planned.parts(x)
                if isinstance(part, Sequence)]  # fmt: skip
    lines = []
    for name, call in sections:
        start = f"        self.{name} = "
        lines.append(start + laid(call, indent=8, before=len(start)))
    steps = [f"        x = self.{name}(x)" for name, _ in sections[1:-1]]
    first, last = sections[0][0], sections[-1][0]
    network = [
        "class Network(nn.Module):",
        f'    """Images ({_shape(x)}), normalised -> scores (N, {architecture.classes!r})."""',
        "",
        "    def __init__(self) -> None:",
        "        super().__init__()",
        *lines,
        "",
        "    def forward(self, images: Tensor) -> Tensor:",
        f"        x = self.{first}(images)",
        *steps,
        f"        return self.{last}(x)",
    ]
    body = "\n\n\n".join([NAMED, *parts, "\n".join(network), END])
    helpers = _lacking(body)
    body = "\n\n\n".join([*helpers, body])
    return f"{_docstring(architecture)}\n\n{_imports(body)}\n\n{DTYPES}\n\n\n{body}"


def _docstring(architecture: Architecture) -> str:
    counted, x = cost(architecture), Shape(*architecture.input)
    return (
        f'"""A network of {counted.params:,} parameters, {counted.macs:,} multiply-adds an image of {x}.\n\n'
        f"Written by archsearch from its plan (digest {digest(architecture)}). It needs torch alone. `build()` is the\n"
        'network with new weights, `load("weights.safetensors")` the trained one; the names are the same.\n"""'
    )


def _imports(body: str) -> str:
    plain = ["import json", "from collections import OrderedDict", "from pathlib import Path"]
    torch = ["import torch", "from torch import Tensor, nn"]
    torch += ["from torch.nn import functional"] if "functional." in body else []
    return "\n".join([*plain, "", *torch])


def _lacking(body: str) -> list[str]:
    """The classes that torch lacks and the body names, as they stand in archsearch."""
    used = [name for name in LACKING if re.search(rf"\b{name}\(", body)]
    return [inspect.getsource(getattr(lacking, name)).rstrip() for name in used]


def _shape(x: Shape) -> str:
    return f"N, {x.channels!r}, {x.height!r}, {x.width!r}"
