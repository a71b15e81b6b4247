"""A network as a file of plain PyTorch: it imports torch alone, and its weights have the names that they have in
archsearch.

The layers are what `network.calls` says, the classes that torch lacks stand in the file as they do in `network/`.
Units that differ by their numbers share a function (blocks.py), stages are loops over them. No text of a user becomes
source.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from dataclasses import replace

from torch import nn

from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.plan import plan
from archsearch.architecture.quantities import Shape
from archsearch.architecture.spec import Architecture
from archsearch.export.blocks import compressed, function, groups
from archsearch.export.code import Argument, Code, Node, Value, laid, node, substituted, walk
from archsearch.network import units
from archsearch.network.build import skeleton
from archsearch.network.calls import FUNCTIONS, call
from archsearch.network.layers import ChannelGain, LearnedGain

BUILD = '''\
def build() -> Network:
    """The network with new weights: He et al. 2015, arXiv:1502.01852; biases of 0, but for gates."""
    network = Network()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] ** 2 * module.out_channels
            nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
        if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.constant_(module.weight, getattr(module, "scale_init", 1.0))
        if getattr(module, "bias", None) is not None:
            nn.init.constant_(module.bias, getattr(module, "bias_init", 0.0))
'''
END = '''\
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
FILLED = (
    nn.Conv2d,
    nn.Conv1d,
    nn.Linear,
    nn.BatchNorm2d,
    nn.GroupNorm,
)  # by BUILD, or by torch's constructors as build() has them
TENSORS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}  # that these have
# The statement by which `build` fills the tensors of a layer of our own; "" where its constructor does.
STATEMENTS: dict[type[nn.Module], str] = {LearnedGain: "", ChannelGain: ""}
BEFORE = {
    "nn.BatchNorm2d",
    "VectorNorm",
    "nn.GroupNorm",
    "nn.ReLU",
    *(f"nn.{kind.__name__}" for kind in FUNCTIONS.values()),
}  # a first convolution
DTYPES = 'DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}'
UNITS = {
    name for name, value in vars(units).items() if inspect.isclass(value) and issubclass(value, units.ResidualUnit)
}


def source(architecture: Architecture) -> str:
    """The text of model.py: `build()` is the network, `load(file)` the network with a safetensors file's weights.

    Raises InputError where the image runs out, NotImplementedError for a layer of which `build` would leave a tensor
    without a value.
    """
    network: Value = node(call(plan(architecture), Shape(*architecture.input)))
    parts = _repeated(network)
    branches, schedule = _schedule([part for part in walk(network) if part.function == "StochasticDepth"])
    network = substituted(network, branches)
    for select in (_projections, _units):
        calls, functions = _functions(select(network))
        network = substituted(network, calls)
        schedule += functions
    body = "\n\n\n".join([*parts, *schedule, _network(network, architecture), _build(architecture)])
    return f"{_docstring(architecture)}\n\n{_imports(body)}\n\n{DTYPES}\n\n\n{body}"


def _build(architecture: Architecture) -> str:
    """The functions `build` and `load`."""
    statements = {}
    for name, module in skeleton(architecture).named_modules():
        tensors = {key for key, x in (*module._parameters.items(), *module._buffers.items()) if x is not None}
        unfilled = sorted(tensors - TENSORS if isinstance(module, FILLED) else tensors)
        if unfilled and (kind := type(module)) not in STATEMENTS:
            raise NotImplementedError(
                f"{name}: `build` of an exported file fills no {', '.join(unfilled)} of a {kind.__name__}; register "
                "its initial values in STATEMENTS (export/source.py)"
            )
        if unfilled and STATEMENTS[kind]:
            statements[kind.__name__] = STATEMENTS[kind]
    lines = (
        f"        if isinstance(module, {kind}):\n            {statement}\n" for kind, statement in statements.items()
    )
    return f"{BUILD}{''.join(lines)}{END}"


def _docstring(architecture: Architecture) -> str:
    counted, x = cost(architecture), Shape(*architecture.input)
    return (
        f'"""A network of {counted.params:,} parameters, {counted.macs:,} multiply-adds an image of {x}.\n\n'
        f"Written by archsearch from its plan (digest {digest(architecture)}). It needs torch alone. `build()` is the\n"
        'network with new weights, `load("weights.safetensors")` the trained one; the names are the same.\n"""'
    )


def _imports(body: str) -> str:
    standard = ["import json", "from collections import OrderedDict", "from pathlib import Path"]
    torch = ["import torch", "from torch import Tensor, nn"]
    torch += ["from torch.nn import functional"] if "functional." in body else []
    return "\n".join([*standard, "", *torch])


def _repeated(network: Value) -> list[str]:
    """The functions and classes that the network is made of and torch lacks, with their bases, as they stand in
    archsearch."""
    used = {part.origin for part in walk(network) if part.origin is not None}
    bases = {base for value in used for base in getattr(value, "__mro__", ())} - {object}
    ours = {base for base in bases if not base.__module__.startswith("torch.")}
    ordered = sorted(used | ours, key=lambda value: (value.__module__, inspect.getsourcelines(value)[1]))
    return [inspect.getsource(value).rstrip() for value in ordered]


def _units(network: Value) -> list[Node]:
    return [part for part in walk(network) if part.function in UNITS]


def _projections(network: Value) -> list[Node]:
    """Shortcuts of more than one layer, or of a layer with weights."""
    shortcuts = [
        argument.value for unit in _units(network) for argument in unit.arguments if argument.name == "shortcut"
    ]
    return [shortcut for shortcut in shortcuts if isinstance(shortcut, Node) and shortcut.function == "named"]


def _schedule(branches: list[Node]) -> tuple[dict[Node, Node], list[str]]:
    """Branches whose survival probabilities fall linearly, p = 1 - block / blocks * (1 - last), name the block in place
    of p, and a function of it is returned."""
    probabilities = [float(str(branch.arguments[0].value)) for branch in branches]
    blocks, last = len(probabilities), probabilities[-1] if probabilities else 1.0
    rule = [1 - block / blocks * (1 - last) for block in range(1, blocks + 1)]
    if len(set(probabilities)) < 2 or probabilities != rule:
        return {}, []
    by_block = {}
    for block, branch in enumerate(branches, 1):
        survival = Node("survival_of", (Argument("block", block, positional=True),))
        by_block[branch] = replace(
            branch, arguments=(replace(branch.arguments[0], value=survival), *branch.arguments[1:])
        )
    text = (
        "def survival_of(block: int) -> float:\n"
        '    """The probability with which a branch is kept in training (stochastic depth, Huang 2016)."""\n'
        f"    return 1 - block / {blocks!r} * (1 - {last!r})"
    )
    return by_block, [text]


def _functions(nodes: list[Node]) -> tuple[dict[Node, Node], list[str]]:
    """Functions that make these nodes, one for all that differ by their numbers: the calls by node, and the texts."""
    calls: dict[Node, Node] = {}
    texts: list[str] = []
    counts: Counter[str] = Counter()
    for group in groups(nodes):
        name = _name(group[0])
        counts[name] += 1
        numbered = f"{name}{counts[name]}" if counts[name] > 1 else name
        result = function(group, numbered, group[0].function if group[0].function in UNITS else "nn.Module")
        calls.update(zip(group, result.calls, strict=True))
        texts.append(result.text)
    return calls, texts


def _name(block: Node) -> str:
    """What such a block is called in the literature, as far as its layers say."""
    if block.function not in UNITS:
        return "projection"
    slots = {argument.name: argument.value for argument in block.arguments if isinstance(argument.value, Node)}
    layers = [argument.value.function for argument in slots["branch"].arguments if isinstance(argument.value, Node)]
    layers = [layer for layer in layers if layer != "survival_of"]
    kind = re.sub(r"\B(?=[A-Z])", "_", block.function.removesuffix("Unit")).lower()
    convolutions = sum(layer in ("nn.Conv2d", "StandardizedConv") for layer in layers)
    name = f"{kind}_{'layer' if kind == 'dense' else 'bottleneck' if convolutions == 3 else 'block'}"
    if "shared" in slots:
        return f"preact_{name}_entry"
    return f"preact_{name}" if layers[0] in BEFORE else name


def _network(network: Value, architecture: Architecture) -> str:
    """The class: each section an attribute."""
    assert isinstance(network, Node), "a network is a sequence of sections"
    x = Shape(*architecture.input)
    lines = []
    for argument in network.arguments:
        start = f"        self.{argument.name} = "
        lines.append(start + laid(_section(argument.value), indent=8, before=len(start)))
    stem, *stages, head = (f"self.{argument.name}" for argument in network.arguments)
    start = "        for stage in "
    among = Node("", tuple(Argument("stage", Code(stage), positional=True) for stage in stages))
    loop = f"({stages[0]},)" if len(stages) == 1 else laid(among, indent=8, before=len(start), after=1)
    return "\n".join([
        "class Network(nn.Module):",
        f'    """Images (N, {x.channels!r}, {x.height!r}, {x.width!r}), normalised -> scores '
        f'(N, {architecture.classes!r})."""',
        "",
        "    def __init__(self) -> None:",
        "        super().__init__()",
        *lines,
        "",
        "    def forward(self, images: Tensor) -> Tensor:",
        f"        x = {stem}(images)",
        f"{start}{loop}:",
        "            x = stage(x)",
        f"        return {head}(x)",
    ])  # fmt: skip


def _section(section: Value) -> Value:
    """A stem, a stage or a head; a stage's blocks as loops."""
    if not isinstance(section, Node):
        return section
    arguments: list[Argument] = []
    run: list[tuple[int, Node]] = []
    for argument in section.arguments:
        if argument.name.startswith("block") and isinstance(argument.value, Node):
            run.append((int(argument.name.removeprefix("block")), argument.value))
        else:
            arguments, run = [*arguments, *compressed(run), argument], []
    return replace(section, arguments=(*arguments, *compressed(run)))
