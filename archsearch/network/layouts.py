"""How other libraries name the layers of a network, and which networks their classes can be.

What leaves no trace in a state dict (strides, where ReLUs stand, constant factors) is fixed by a library's class, so
equal names and shapes are not enough: a layout also says which values of the words its class has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture, Survival
from archsearch.reading.errors import InputError
from archsearch.reading.model import StrictModel

Allowed = Mapping[str, tuple[Any, ...]]
Model = TypeVar("Model", bound=StrictModel)
ANY: tuple[Any, ...] = ()  # of a word whose value the tensors' names or shapes tell


@dataclass(frozen=True, kw_only=True)
class LayerAddress:
    """Where a layer stands. `number` counts the convolutions, or the norms, of its slot in order, from 1.

    `slot`: stem, head, entry and exit of a stage, and in a block main (shared and branch, which are one row of
    layers in the libraries), shortcut, or attention.
    """

    slot: str
    kind: str
    number: int
    stage: int = 0
    block: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """A family as libraries name its layers.

    `mark`: a tensor that tells its state dicts from those of other layouts. `name`: the library's name of the layer at
    an address of such a network. `stem`, `stage`, `block`, `head`: the values
    that its class has for words; a word that is not listed has its default there. `strides`: of the stages.
    """

    title: str
    libraries: tuple[str, ...]
    mark: str
    name: Callable[[LayerAddress, Architecture], str]
    stem: Allowed
    block: Allowed
    stage: Allowed = field(default_factory=dict)
    head: Allowed = field(default_factory=dict)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    norm_eps: float = 1e-5
    pads_on_both_sides: bool = False  # with zero channels (option A), which then stand in another order

    def differs(self, architecture: Architecture) -> str | None:
        """Why the class cannot be this network, by the first word; None where it can."""
        if len(architecture.stages) != len(self.strides):
            return f"{len(architecture.stages)} stages; allowed: {len(self.strides)}"
        sections = list(self._sections(architecture))
        problems = [problem for title, model, allowed in sections for problem in _problems(title, model, allowed)]
        if architecture.norm_eps != self.norm_eps:
            problems.append(f"norm_eps: {architecture.norm_eps:g}; allowed: {self.norm_eps:g}")
        return problems[0] if problems and not self._computes(architecture) else None

    def _sections(self, architecture: Architecture) -> Iterator[tuple[str, StrictModel, Allowed]]:
        yield "stem", architecture.stem, self.stem
        for number, (stage, stride) in enumerate(zip(architecture.stages, self.strides, strict=True), start=1):
            yield f"stage {number}", stage, self._stage(stride)
            yield f"stage {number}", stage.block, self.block
        yield "head", architecture.head, self.head
        yield "survival", architecture.survival, {}

    def _stage(self, stride: int) -> Allowed:
        return {"depth": ANY, "width": ANY, "block": ANY, **self.stage, "stride": (stride,)}

    def _computes(self, architecture: Architecture) -> bool:
        """Whether the words that differ have no effect: the class's network is the same."""
        stages = tuple(
            _fitted(stage, self._stage(stride)).model_copy(update={"block": _fitted(stage.block, self.block)})
            for stage, stride in zip(architecture.stages, self.strides, strict=True)
        )
        theirs = architecture.model_copy(
            update={
                "stem": _fitted(architecture.stem, self.stem),
                "stages": stages,
                "head": _fitted(architecture.head, self.head),
                "survival": Survival(),
                "norm_eps": self.norm_eps,
            }
        )
        try:
            return digest(theirs) == digest(architecture)
        except InputError:
            return False


def _allowed(model: StrictModel, allowed: Allowed) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Each word whose value the class fixes, and its values there."""
    for word, info in type(model).model_fields.items():
        values = allowed.get(word, (info.default,))
        if values is not ANY:
            yield word, values


def _problems(title: str, model: StrictModel, allowed: Allowed) -> Iterator[str]:
    for word, values in _allowed(model, allowed):
        if (value := getattr(model, word)) not in values:
            yield f"{title}: {word}: {value}; allowed: {' or '.join(map(str, values))}"


def _fitted(model: Model, allowed: Allowed) -> Model:
    """The same words, but those with other values than the class's have its first."""
    changed = {word: values[0] for word, values in _allowed(model, allowed) if getattr(model, word) not in values}
    return model.model_copy(update=changed)


def _resnet(address: LayerAddress, network: Architecture) -> str:
    """torchvision's ResNet, and timm's, which adds deep stems (a row of convolutions, norms and ReLUs that ends in a
    convolution), average pools on shortcuts (before the convolution) and attention."""
    kind = {"conv": "conv", "norm": "bn", "linear": "fc", "channelconv": "conv"}[address.kind]
    block = f"layer{address.stage}.{address.block - 1}"
    match address.slot:
        case "stem" if network.stem.deep != "none" and (address.kind, address.number) != ("norm", 3):
            return f"conv1.{3 * (address.number - 1) + (address.kind == 'norm')}"
        case "stem":
            return f"{kind}1"
        case "main":
            return f"{block}.{kind}{address.number}"
        case "shortcut":
            pools = network.stages[address.stage - 1].block.shortcut == "B_pool"
            return f"{block}.downsample.{pools + (address.kind == 'norm')}"
        case "attention":
            return f"{block}.se.{'conv' if address.kind == 'channelconv' else f'fc{address.number}'}"
        case _:
            return kind


def _cifar_resnet(address: LayerAddress, network: Architecture) -> str:
    """The ResNets for CIFAR of pytorch_resnet_cifar10 and pytorch-cifar."""
    if address.slot == "shortcut":
        return _resnet(address, network).replace("downsample", "shortcut")
    return "linear" if address.slot == "head" else _resnet(address, network)


def _densenet(address: LayerAddress, network: Architecture) -> str:
    """torchvision's and timm's DenseNet. A transition is counted with the stage that it leaves."""
    match address.slot:
        case "stem":
            return f"features.{address.kind}{address.number - 1}"
        case "main":
            return f"features.denseblock{address.stage}.denselayer{address.block}.{address.kind}{address.number}"
        case "entry":
            return f"features.transition{address.stage - 1}.{address.kind}"
        case "exit":
            return f"features.norm{address.stage + 1}"
        case _:
            return "classifier"


def _preactivated(address: LayerAddress, network: Architecture) -> str:
    """timm's ResNetV2."""
    block = f"stages.{address.stage - 1}.blocks.{address.block - 1}"
    match address.slot:
        case "stem":
            return f"stem.{address.kind}" + (str(address.number) if network.stem.deep != "none" else "")
        case "main":
            return f"{block}.{address.kind}{address.number}"
        case "shortcut":
            return f"{block}.downsample.{address.kind}"
        case "exit":
            return "norm"
        case _:
            return "head.fc"


def _regnet(address: LayerAddress, network: Architecture) -> str:
    """timm's RegNet."""
    kind = {"conv": "conv", "norm": "bn", "linear": "fc"}[address.kind]
    block = f"s{address.stage}.b{address.block}"
    match address.slot:
        case "stem":
            return f"stem.{kind}"
        case "main":
            return f"{block}.conv{address.number}.{kind}"
        case "shortcut":
            return f"{block}.downsample.{kind}"
        case "attention":
            return f"{block}.se.fc{address.number}"
        case _:
            return "head.fc"


def _regnet_of_torchvision(address: LayerAddress, network: Architecture) -> str:
    block = f"trunk_output.block{address.stage}.block{address.stage}-{address.block - 1}"
    position = int(address.kind == "norm")
    match address.slot:
        case "stem":
            return f"stem.{position}"
        case "main":
            return f"{block}.f.{'abc'[address.number - 1]}.{position}"
        case "shortcut":
            return f"{block}.proj.{position}"
        case "attention":
            return f"{block}.f.se.fc{address.number}"
        case _:
            return "fc"


def _dual_path(address: LayerAddress, network: Architecture) -> str:
    """timm's DPN. The projection is called after its stride: 1 in the first stage, 2 in the others."""
    kind = {"conv": "conv", "norm": "bn"}[address.kind]
    block = f"features.conv{address.stage + 1}_{address.block}"
    match address.slot:
        case "stem":
            return f"features.conv1_1.{kind}"
        case "main":
            return f"{block}.{('c1x1_a', 'c3x3_b', 'c1x1_c')[address.number - 1]}.{kind}"
        case "shortcut":
            return f"{block}.c1x1_w_s{1 if address.stage == 1 else 2}.{kind}"
        case "exit":
            return f"features.conv{address.stage + 1}_bn_ac.{kind}"
        case _:
            return "classifier"


IMAGENET_STEM: Allowed = {"kernel": (7,), "stride": (2,), "width": ANY, "pool": ("max",)}
SHAPES: Allowed = {"kind": ANY, "bottleneck_ratio": ANY, "cardinality": ANY, "group_width": ANY}
MEANS: Allowed = {"pool": ("adaptive", "mean")}  # with equal outputs
LAYOUTS = (
    Layout(
        title="ResNet",
        libraries=("torchvision", "timm"),
        mark="fc.weight",
        name=_resnet,
        stem=IMAGENET_STEM,
        block={**SHAPES, "zero_init": ANY},
        head=MEANS,
    ),
    Layout(
        title="ResNet",
        libraries=("timm",),
        mark="fc.weight",
        name=_resnet,
        stem={**IMAGENET_STEM, "deep": ANY},
        block={
            **SHAPES,
            "shortcut": ("B", "B_pool"),
            "attention": ("none", "se", "eca"),
            "attention_reduction": ANY,
            "zero_init": ANY,
        },
        head=MEANS,
    ),
    Layout(
        title="DenseNet",
        libraries=("torchvision", "timm"),
        mark="features.conv0.weight",
        name=_densenet,
        stem={**IMAGENET_STEM, "norm": (True,), "deep": ("none", "half")},
        stage={"compression": ANY},
        block={
            "kind": ("bottleneck",),
            "link": ("dense",),
            "activation": ("pre",),
            "growth_rate": ANY,
            "dense_bottleneck": ANY,
            "dropout": ANY,
        },
        head=MEANS,
    ),
    Layout(
        title="ResNetV2",
        libraries=("timm",),
        mark="head.fc.weight",
        name=_preactivated,
        stem={**IMAGENET_STEM, "norm": (False,), "deep": ANY, "first_shortcut": ("raw",)},
        block={**SHAPES, "kind": ("basic", "bottleneck"), "activation": ("pre",), "shortcut": ("B", "B_pool")},
        head={**MEANS, "classifier": ("conv",)},
    ),
    Layout(
        title="RegNet",
        libraries=("timm",),
        mark="s1.b1.conv1.conv.weight",
        name=_regnet,
        stem={"kernel": (3,), "stride": (2,), "width": ANY},
        block={**SHAPES, "kind": ("bottleneck",)},
        head=MEANS,
        strides=(2, 2, 2, 2),
    ),
    Layout(
        title="RegNet",
        libraries=("torchvision",),
        mark="trunk_output.block1.block1-0.f.a.0.weight",
        name=_regnet_of_torchvision,
        stem={"kernel": (3,), "stride": (2,), "width": ANY},
        block={**SHAPES, "kind": ("bottleneck",)},
        head=MEANS,
        strides=(2, 2, 2, 2),
    ),
    Layout(
        title="DPN",
        libraries=("timm",),
        mark="features.conv1_1.conv.weight",
        name=_dual_path,
        stem={**IMAGENET_STEM, "kernel": (7, 3), "norm": (True,)},
        block={**SHAPES, "kind": ("bottleneck",), "link": ("dual_path",), "activation": ("pre",), "growth_rate": ANY},
        head={**MEANS, "classifier": ("conv",)},
        norm_eps=1e-3,
    ),
    Layout(
        title="ResNet for CIFAR",
        libraries=("pytorch_resnet_cifar10",),
        mark="linear.weight",
        name=_cifar_resnet,
        stem={"width": ANY},
        block={"kind": ANY, "bottleneck_ratio": ANY, "shortcut": ("A", "B"), "zero_init": ANY},
        head=MEANS,
        strides=(1, 2, 2),
        pads_on_both_sides=True,
    ),
    Layout(
        title="ResNet for CIFAR",
        libraries=("pytorch-cifar",),
        mark="linear.weight",
        name=_cifar_resnet,
        stem={"width": ANY},
        block={"kind": ANY, "bottleneck_ratio": ANY, "zero_init": ANY},
        head=MEANS,
    ),
)
