"""ResNets for CIFAR whose option A pads zero channels on both sides: our weights of them are the same function."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from archsearch import InputError, convert_weights
from archsearch.architecture.spec import Architecture
from archsearch.network import build
from archsearch.network.pretrained import load_pretrained
from archsearch.training.pretrained import read_weights
from archsearch.zoo import get
from tests.network.published import filled

SHARED = Path(__file__).parents[3] / "shared" / "data"


class Basic(nn.Module):
    def __init__(self, before: int, width: int, stride: int, *, projects: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        self.pads = width // 4 if before != width and not projects else 0
        if before != width and projects:
            self.shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        h = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pads, self.pads)) if self.pads else self.shortcut(x)
        return F.relu(branch + h)


class CifarResNet(nn.Module):
    """He 2015, section 4.2, with the names of pytorch_resnet_cifar10 and the padding on both sides."""

    def __init__(self, blocks: int, *, projects: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        before, self.layers = 16, []
        for number, (width, stride) in enumerate(((16, 1), (32, 2), (64, 2)), start=1):
            row = nn.Sequential()
            for block in range(blocks):
                row.append(Basic(before, width, stride if block == 0 else 1, projects=projects))
                before = width
            self.add_module(f"layer{number}", row)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x)
        return self.linear(x.mean((2, 3)))


def difference(ours: nn.Module, theirs: nn.Module, images: Tensor) -> float:
    with torch.no_grad():
        wanted = theirs.eval()(images)
        return ((ours.eval()(images) - wanted).abs().max() / wanted.abs().max()).item()


@pytest.mark.parametrize(("name", "projects"), [("resnet20_cifar", False), ("resnet20_option_b_cifar", True)])
def test_the_outputs_are_equal_though_the_channels_are_in_another_order(name: str, *, projects: bool) -> None:
    theirs, images = filled(CifarResNet(3, projects=projects)), torch.randn(2, 3, 32, 32)
    state = {f"module.{key}": value for key, value in theirs.state_dict().items()}  # as trained on several GPUs
    ours = build(name)
    start = load_pretrained(ours, state)
    assert (start.source, start.replaced) == ("pytorch_resnet_cifar10", ())
    assert difference(ours, theirs, images) < 1e-5
    ours.load_state_dict(convert_weights(state, name, "pytorch_resnet_cifar10"))
    assert difference(ours, theirs, images) < 1e-5
    if not projects:
        given = dict(theirs.state_dict())
        with torch.no_grad():
            ours.stage3.block1.branch.conv1.weight.copy_(given["layer3.0.conv1.weight"])
        assert difference(ours, theirs, images) > 1e-3, "an order that makes no difference"


def test_networks_that_pad_otherwise_are_refused() -> None:
    state = filled(CifarResNet(3)).state_dict()
    data = get("resnet20_cifar").to_dict()
    for stage in data["stages"]:
        stage["block"] = {"shortcut": "A_pool"}
    with pytest.raises(InputError, match="shortcut: A_pool; allowed: A or B"):
        load_pretrained(build(Architecture.from_dict(data)), state)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "resnet-cifar-weights").is_dir(), reason="shared/data is not there")
@pytest.mark.parametrize(
    ("name", "file", "blocks", "accuracy"),
    [("resnet20_cifar", "resnet20-12fca82f.th", 3, 0.81), ("resnet56_cifar", "resnet56-4bfd9763.th", 9, 0.83)],
)
def test_published_weights_have_their_accuracy(name: str, file: str, blocks: int, accuracy: float) -> None:
    """On the first 2,000 test images of CIFAR-10 as JPEG, whose detail is not that of the originals."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(SHARED / "cifar10-jpeg" / "test.parquet").slice(0, 2000).to_pylist()
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])), dtype=np.float32) for row in rows])
    pixels = (pixels / 255 - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    images, labels = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()), torch.tensor([r["label"] for r in rows])
    weights = read_weights(SHARED / "resnet-cifar-weights" / file).tensors
    ours, theirs = build(name), CifarResNet(blocks)
    load_pretrained(ours, weights)
    counts = {key: value for key, value in theirs.state_dict().items() if key.endswith("num_batches_tracked")}
    theirs.load_state_dict({key.removeprefix("module."): value for key, value in weights.items()} | counts)
    assert difference(ours, theirs, images[:100]) < 1e-5
    with torch.no_grad():
        assert (ours.eval()(images).argmax(1) == labels).float().mean().item() == pytest.approx(accuracy, abs=0.006)
