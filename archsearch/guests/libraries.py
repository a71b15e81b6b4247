"""The libraries whose networks may be guests: what each has, and how it makes one for an image and some classes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from torch import nn

from archsearch.guests.guest import LIBRARIES, Guest
from archsearch.network.pretrained import recoloured
from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean

Shape = tuple[int, int, int]
SIDE, CLASSES = 224, 1000  # ImageNet's, where a library says nothing else of a network


class Library(Protocol):
    """Makes networks of one library, without pretrained weights."""

    def models(self) -> Sequence[str]:
        """The library's names of its image classifiers."""

    def image(self, model: str) -> Shape:
        """The image (channels, height, width) that the network was made for."""

    def module(self, guest: Guest) -> nn.Module:
        """The network with the library's own initial values, from torch's global generator."""


class Torchvision:
    """torchvision.models: classifiers alone, without auxiliary heads."""

    AUXILIARY = ("googlenet", "inception_v3")

    def models(self) -> Sequence[str]:
        """Those of torchvision.models itself."""
        from torchvision import models

        return list(models.list_models(module=models))

    def image(self, model: str) -> Shape:
        """What its published weights are evaluated on."""
        from torchvision import models

        side = models.get_model_weights(model).DEFAULT.transforms().crop_size[0]
        return 3, side, side

    def module(self, guest: Guest) -> nn.Module:
        """Classes are set by torchvision's argument; for channels it has none, so the first convolution is replaced."""
        from torchvision import models

        arguments: dict[str, Any] = {}
        if guest.model in self.AUXILIARY:
            arguments = {"aux_logits": False, "init_weights": True}
        elif guest.model.startswith("vit_"):
            arguments = {"image_size": guest.input[1]}
        module: nn.Module = models.get_model(guest.model, weights=None, num_classes=guest.classes, **arguments)
        if guest.input[0] != 3:
            _take_channels(module, guest.input[0])
        return module


class Timm:
    """timm's registry of classifiers."""

    def models(self) -> Sequence[str]:
        """All that are registered, without the tags of their weights."""
        import timm

        return list(timm.list_models())

    def image(self, model: str) -> Shape:
        """What its configuration says."""
        from timm.models import get_pretrained_cfg

        config = get_pretrained_cfg(model)
        return (3, SIDE, SIDE) if config is None else tuple(config.input_size)

    def module(self, guest: Guest) -> nn.Module:
        """Classes and channels are set by timm's arguments, and the image's size where the network is of one size."""
        import timm
        from timm.models import get_pretrained_cfg

        config = get_pretrained_cfg(guest.model)
        size = {"img_size": guest.input[1:]} if config is not None and config.fixed_input_size else {}
        module: nn.Module = timm.create_model(
            guest.model, pretrained=False, num_classes=guest.classes, in_chans=guest.input[0], **size
        )
        return module


_LIBRARIES: dict[str, Library] = dict(zip(LIBRARIES, (Torchvision(), Timm()), strict=True))


def library_of(name: str) -> Library:
    """The library of a guest's name. Raises InputError where that is not installed, or has no such network."""
    library, _, model = name.partition(":")
    if find_spec(library) is None:
        raise refuse(f"{name} needs {library}, which is not installed", hint=f"pip install {library}", file=name)
    models = _LIBRARIES[library].models()
    if model not in models:
        hint = did_you_mean(model, models, most=3)
        raise refuse(f"{library} has no network {model!r:.60}", allowed=f"a classifier of {library}", hint=hint)
    return _LIBRARIES[library]


def named(name: str) -> Guest:
    """The guest of a name (`torchvision:vgg16_bn`), for the image and the classes that its library made it for. Raises
    InputError as `library_of`."""
    return Guest(guest=name, input=library_of(name).image(name.partition(":")[2]), classes=CLASSES)


def release(guest: Guest) -> str:
    """Whose module it is: `torchvision 0.24.1`."""
    return f"{guest.library} {version(guest.library)}"


def change(guest: Guest) -> str:
    """What was changed in the library's module, for people; nothing in most."""
    if guest.library != "torchvision" or guest.input[0] == 3:
        return ""
    channels = "1 channel" if guest.input[0] == 1 else f"{guest.input[0]} channels"
    return f"its first convolution is replaced by one for images of {channels}"


@torch.no_grad()
def _take_channels(module: nn.Module, channels: int) -> None:
    """Replaces the first convolution, of 3 channels, by one of `channels`, with its weights `recoloured`."""
    path, first = next((path, m) for path, m in module.named_modules() if isinstance(m, nn.Conv2d))
    replacement = nn.Conv2d(
        channels, first.out_channels, first.kernel_size, stride=first.stride, padding=first.padding,  # type: ignore[arg-type]
        dilation=first.dilation, bias=first.bias is not None,  # type: ignore[arg-type]
    )  # fmt: skip
    replacement.weight.copy_(recoloured(first.weight, channels))
    if first.bias is not None and replacement.bias is not None:
        replacement.bias.copy_(first.bias)
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, replacement)
