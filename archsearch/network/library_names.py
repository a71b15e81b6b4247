"""Under which name a library keeps the layer at an address: one function a family."""

from __future__ import annotations

from archsearch.architecture.spec import Architecture
from archsearch.network.layouts import LayerAddress


def resnet(address: LayerAddress, network: Architecture) -> str:
    """torchvision's ResNet, and timm's, which adds deep stems (a row of convolutions, norms and ReLUs that ends in a
    convolution), average pools on shortcuts (before the convolution) and attention."""
    kind = {"conv": "conv", "norm": "bn", "linear": "fc", "channelconv": "conv"}[address.kind]
    block = f"layer{address.stage}.{address.block - 1}"
    match address.slot:
        case "stem":
            deep, behind = network.stem.deep != "none", int(address.kind == "norm")
            if address.number == (4 if deep else 2):  # a convolution in place of the pool
                return f"maxpool.{behind}"
            return f"conv1.{3 * (address.number - 1) + behind}" if deep and address.number + behind < 4 else f"{kind}1"
        case "main":
            return f"{block}.{kind}{address.number}"
        case "shortcut":
            pools = network.stages[address.stage - 1].block.shortcut == "B_pool"
            return f"{block}.downsample.{pools + (address.kind == 'norm')}"
        case "attention":
            return f"{block}.se.{'conv' if address.kind == 'channelconv' else f'fc{address.number}'}"
        case _:
            return kind


def res2net(address: LayerAddress, network: Architecture) -> str:
    """timm's Res2Net: the 3x3 of each part stands in a list."""
    block = f"layer{address.stage}.{address.block - 1}"
    if address.slot.startswith("path"):
        kind = {"conv": "convs", "norm": "bns"}[address.kind]
        return f"{block}.{kind}.{int(address.slot.removeprefix('path')) - 1}"
    if address.slot == "main" and address.number == 2:
        return f"{block}.{'conv' if address.kind == 'conv' else 'bn'}3"
    return resnet(address, network)


def resnest(address: LayerAddress, network: Architecture) -> str:
    """timm's ResNeSt: the 3x3 and what weights its paths are one module."""
    block = f"layer{address.stage}.{address.block - 1}"
    if address.slot == "attention":
        return f"{block}.conv2.{'bn1' if address.kind == 'norm' else f'fc{address.number}'}"
    if address.slot == "main" and address.number == 2:
        return f"{block}.conv2.{'conv' if address.kind == 'conv' else 'bn0'}"
    return resnet(address, network)


def sknet(address: LayerAddress, network: Architecture) -> str:
    """timm's SKNet: the 3x3 with its paths is the second module of a bottleneck, the first of a basic block."""
    bottleneck = network.stages[address.stage - 1].block.kind == "bottleneck" if address.stage else False
    block, kind = f"layer{address.stage}.{address.block - 1}", {"conv": "conv", "norm": "bn"}.get(address.kind, "")
    mixing = f"{block}.conv{2 if bottleneck else 1}"
    if address.slot.startswith("path"):
        return f"{mixing}.paths.{int(address.slot.removeprefix('path')) - 1}.{kind}"
    if address.slot == "attention":
        return f"{mixing}.attn.{'bn' if kind == 'bn' else ('fc_reduce', 'fc_select')[address.number - 1]}"
    if address.slot == "main":
        number = {1: 1, 2: 3}[address.number] if bottleneck else 2
        return f"{block}.conv{number}.{kind}"
    return resnet(address, network)


def byobnet(address: LayerAddress, network: Architecture) -> str:
    """timm's ByobNet (`resnext26ts`)."""
    kind = {"conv": "conv", "norm": "bn", "channelconv": "conv"}.get(address.kind, "")
    block = f"stages.{address.stage - 1}.{address.block - 1}"
    match address.slot:
        case "stem":
            return f"stem.conv{address.number}.{kind}"
        case "main":
            return f"{block}.{('conv1_1x1', 'conv2_kxk', 'conv3_1x1')[address.number - 1]}.{kind}"
        case "shortcut":
            return f"{block}.shortcut.{kind}"
        case "attention":
            return f"{block}.attn.{'conv' if address.kind == 'channelconv' else f'fc{address.number}'}"
        case _:
            return "head.fc"


def vgg(address: LayerAddress, network: Architecture) -> str:
    """timm's VGG: convolutions, norms, ReLUs and pools in one row."""
    if address.slot == "head":
        return "head.fc" if address.kind == "linear" else f"pre_logits.fc{address.number}"
    return f"features.{_position(address, network)}"


def vgg_of_torchvision(address: LayerAddress, network: Architecture) -> str:
    """torchvision's VGG: as timm's, with linear hidden layers behind a pool to 7x7."""
    if address.slot != "head":
        return f"features.{_position(address, network)}"
    return f"classifier.{6 if address.kind == 'linear' else 3 * (address.number - 1)}"


def _position(address: LayerAddress, network: Architecture) -> int:
    """Of a layer in the row: the stem is its first convolution, and a pool opens each stage that halves."""
    earlier, here = network.stages[: max(0, address.stage - 1)], network.stages[: address.stage]
    convolutions = sum(stage.depth for stage in earlier) + address.block
    pools = sum(stage.stride > 1 for stage in here)
    each = 3 if network.stages[0].block.norm == "batch" else 2
    return convolutions * each + pools + (address.kind == "norm")


def senet(address: LayerAddress, network: Architecture) -> str:
    """timm's senet.py."""
    kind = {"conv": "conv", "norm": "bn"}.get(address.kind, "")
    match address.slot:
        case "stem":
            return f"layer0.{kind}{address.number}"
        case "head":
            return "last_linear"
        case _:
            return resnet(address, network).replace(".se.", ".se_module.")


def cifar_resnet(address: LayerAddress, network: Architecture) -> str:
    """The ResNets for CIFAR of pytorch_resnet_cifar10 and pytorch-cifar."""
    if address.slot == "shortcut":
        return resnet(address, network).replace("downsample", "shortcut")
    return "linear" if address.slot == "head" else resnet(address, network)


def densenet(address: LayerAddress, network: Architecture) -> str:
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


def preactivated(address: LayerAddress, network: Architecture) -> str:
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


def regnet(address: LayerAddress, network: Architecture) -> str:
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


def regnet_of_torchvision(address: LayerAddress, network: Architecture) -> str:
    """torchvision's RegNet."""
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


def dual_path(address: LayerAddress, network: Architecture) -> str:
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
