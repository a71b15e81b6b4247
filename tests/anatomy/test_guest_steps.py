"""Guests as rows of blocks: what is left out or changes places is what the modules say, and they are put back."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from archsearch.anatomy import guest_steps
from archsearch.anatomy.guest_steps import GuestRow
from archsearch.anatomy.lesions import Plan, lesions
from archsearch.guests.building import build_guest
from archsearch.guests.guest import Guest
from archsearch.training.losses import Loss

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
GUEST = Guest(guest="torchvision:vgg11_bn", input=(3, 8, 8), classes=10)


class Counted(nn.Conv2d):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class Small(nn.Module):
    """Like a VGG: layers in one container, and a function between it and the classifier."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels, out in ((3, 4), (4, 4), (4, 4), (4, 8), (8, 8)):
            norm = [nn.BatchNorm2d(out)] if out == 4 else []
            layers += [Counted(channels, out, 3, padding=1), *norm, nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x).mean((2, 3)), 1))


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(0)
    module = Small().train()
    for _ in range(3):
        module(torch.randn(16, 3, 8, 8))
    return module.eval()


def replaced(module: nn.Module, **layers: nn.Module) -> nn.Module:
    """A copy with other modules in place of some; `__` in a name is a dot."""
    changed = deepcopy(module)
    for name, layer in layers.items():
        path, _, last = name.replace("__", ".").rpartition(".")
        setattr(changed.get_submodule(path), last, layer)
    return changed


def test_a_convolution_with_its_norm_is_a_block(small: nn.Module) -> None:
    row = GuestRow.of_guest(small, GUEST)
    names = [("features.0", "features.1"), ("features.3", "features.4"), ("features.6", "features.7"), ("features.9",),
             ("features.11",), ("classifier",)]  # fmt: skip
    assert [step.names for step in row.steps] == names
    assert [step.can_be_cut for step in row.steps] == [False, True, True, False, True, False]
    assert [(step.stage, step.block) for step in row.steps] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1)]
    assert row.alike() == [[1, 2]]
    assert sum(step.params for step in row.steps) == sum(parameter.numel() for parameter in small.parameters())


def test_lesions_are_those_of_a_module_without_the_layers(small: nn.Module, monkeypatch) -> None:
    row = GuestRow.of_guest(small, GUEST)
    nothing = nn.Identity()
    expected = [
        small,
        replaced(small, features__3=nothing, features__4=nothing),
        replaced(small, features__11=nothing),
        replaced(small, features__6=nothing, features__7=nothing, features__11=nothing),
        replaced(small, features__3=small.features[6], features__4=small.features[7], features__6=small.features[3],
                 features__7=small.features[4]),
    ]  # fmt: skip
    variants = [row.whole, row.without([1]), row.without([4]), row.without([2, 4]), row.in_order((0, 2, 1, 3, 4, 5))]
    for at_once in (guest_steps.AT_ONCE, 1):
        monkeypatch.setattr(guest_steps, "AT_ONCE", at_once)
        with torch.inference_mode():
            outputs = dict(row.outputs(variants, IMAGES))
            for number, module in enumerate(expected):
                torch.testing.assert_close(outputs[number], module(IMAGES))
    assert not any("forward" in vars(module) for module in small.modules()), "all is put back"


def test_what_stands_before_a_lesion_is_computed_once(small: nn.Module) -> None:
    row = GuestRow.of_guest(small, GUEST)
    convolutions = [module for module in small.modules() if isinstance(module, Counted)]
    for module in convolutions:
        module.calls = 0
    variants = [row.whole, *(row.without([number]) for number in (1, 2, 4))]
    with torch.inference_mode():
        list(row.outputs(variants, IMAGES))
    assert [module.calls for module in convolutions] == [1, 1, 2, 3, 3]
    shared, alone = row.work(variants)
    assert alone == 4 * row.flops - sum(row.steps[number].flops for number in (1, 2, 4))
    computed = [1, 1, 2, 3, 3, 4]
    assert shared - sum(n * step.flops for n, step in zip(computed, row.steps, strict=True)) == 4 * (
        row.flops - sum(step.flops for step in row.steps)
    )


def test_an_error_inside_puts_the_modules_back(small: nn.Module) -> None:
    row = GuestRow.of_guest(small, GUEST)
    with pytest.raises(RuntimeError):
        list(row.outputs([row.without([1])], IMAGES[:, :2]))
    assert not any("forward" in vars(module) for module in small.modules())


def test_a_residual_network_of_a_library_loses_its_blocks() -> None:
    guest = Guest(guest="torchvision:resnet18", input=(3, 32, 32), classes=10)
    module = build_guest(guest).eval()
    row = GuestRow.of_guest(module, guest)
    assert [step.path for step in row.steps if step.can_be_cut] == [
        "layer1.0", "layer1.1", "layer2.1", "layer3.1", "layer4.1",
    ]  # fmt: skip
    images, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    result = lesions(row, lambda: [(images, labels)], Loss(task="single_label"), Plan(draws=1))
    assert [number for number, _ in result.single] == [1, 2, 4, 6, 8] and result.work[0] < result.work[1]
    with torch.inference_mode():
        scores = replaced(module, layer2__1=nn.Identity())(images)
    assert dict(result.single)[4].loss == pytest.approx(nn.functional.cross_entropy(scores, labels).item(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "blocks", "free"),
    [("torchvision:densenet121", 5, 0), ("torchvision:googlenet", 13, 4), ("torchvision:swin_t", 17, 12),
     ("timm:convnext_atto", 17, 12), ("timm:regnetx_002", 15, 9), ("torchvision:vgg16", 16, 10)],
)  # fmt: skip
def test_blocks_of_the_libraries_networks(name: str, blocks: int, free: int) -> None:
    guest = Guest(guest=name, input=(3, 64, 64), classes=10)
    row = GuestRow.of_guest(build_guest(guest).eval(), guest)
    assert (len(row.steps), sum(step.can_be_cut for step in row.steps)) == (blocks, free)
