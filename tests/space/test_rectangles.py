"""Images that are no squares: counts, budgets, networks, trainings and exported files have their height and width."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from archsearch import build
from archsearch.analysis.drawing import draw
from archsearch.architecture.cost import cost
from archsearch.cli import main
from archsearch.data.datasets import load_images
from archsearch.reading.errors import InputError
from archsearch.space.choices import RandomChoices
from archsearch.space.loading import load_space
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.feeds.feed import feed_of
from archsearch.training.feeds.stream_feed import StreamFeed
from archsearch.training.loop import Training
from tests.training.nets import tiny

CPU = torch.device("cpu")
SPACE = """\
archsearch: 1
name: strips
data: {{name: folder, root: {root}, size: [24, 40]}}
space: {{stages: 2, depth: {{int: [1, 2]}}, width: {{choice: [4, 8]}}, block: {{choice: [basic, bottleneck]}}}}
budget: {{flops: {{max: 3M}}}}
training: {{epochs: 1, batch_size: 8}}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Strips with a bar that lies to the left or to the right."""
    top, rng = tmp_path_factory.mktemp("strips") / "strips", np.random.default_rng(0)
    for label, start in (("left", 4), ("right", 40)):
        (top / label).mkdir(parents=True)
        for number in range(24):
            pixels = rng.integers(0, 90, (48 + number % 3, 80, 3), dtype=np.uint8)
            pixels[:, start : start + 30] += 100
            Image.fromarray(pixels).save(top / label / f"{number}.png")
    return top


@pytest.fixture
def file(root: Path, tmp_path: Path) -> Path:
    path = tmp_path / "strips.yaml"
    path.write_text(SPACE.format(root=root))
    return path


def test_a_space_takes_height_and_width_and_writes_them_out(file):
    space = load_space(file)
    assert space.input == (3, 24, 40) and space.data.size == (24, 40)
    network = space.architecture(RandomChoices(1))
    assert network.input == (3, 24, 40)
    assert load_space(file, ["data.size=[40, 24]"]).input == (3, 40, 24)
    assert load_space(file, ["data.size=32"]).input == (3, 32, 32)
    for size in ([24], [24, 40, 3], [4, 40], [24, 2000], "24x40"):
        with pytest.raises(InputError, match="from 8 to 1024"):
            load_space(file, [f"data.size={size}"])


def test_counts_of_rectangles_are_fvcores(file):
    fvcore = pytest.importorskip("fvcore.nn")
    space = load_space(file)
    for seed in range(6):
        network = space.architecture(RandomChoices(seed))
        module = build(network).eval()
        counted = fvcore.FlopCountAnalysis(module, torch.zeros(1, 3, 24, 40))
        counted.unsupported_ops_warnings(False)
        assert cost(network).flops == int(counted.total())
        turned = network.model_copy(update={"input": (3, 40, 24)})
        assert cost(turned).flops == cost(network).flops
        assert "3 x 24 x 40" in draw(network)


@pytest.mark.parametrize("recipe", [{"crop_padding": 3}, {"resized_crop": 0.3}], ids=["padded", "resized"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_network_learns_from_rectangles(root, recipe, in_memory):
    images = load_images(DataSettings(name="folder", root=str(root), size=(24, 40), in_memory=in_memory))
    assert images.shape == (3, 24, 40)
    mixed = {"cutout": 8, "cutmix": 1.0, **recipe}
    settings = TrainingSettings(epochs=6, batch_size=8, learning_rate=0.02, device="cpu", **mixed)
    batch, _ = next(iter(feed_of(images, settings, CPU, workers=0).training(torch.arange(8), torch.Generator(), 8)))
    assert batch.shape == (8, 3, 24, 40)
    *_, last = Training(tiny(0, 3, classes=2), images, settings, seed=0)
    assert last.validation_accuracy == 1.0


def test_streamed_crops_of_rectangles_are_those_of_the_whole_picture(root):
    images = load_images(DataSettings(name="folder", root=str(root), size=(24, 40), in_memory=False))
    crops = StreamFeed(images, TrainingSettings(resized_crop=0.9, crop_from="file"), CPU, 0)
    batch, _ = next(crops.training(torch.arange(8), torch.Generator().manual_seed(0), 8))
    whole, _ = next(StreamFeed(images, TrainingSettings(), CPU, 0).training(torch.arange(8), torch.Generator(), 8))
    assert batch.shape == whole.shape == (8, 3, 24, 40)
    assert (batch.mean((1, 2)) - whole.mean((1, 2))).abs().mean() < 0.5  # profiles along the width


def test_check_profile_and_train_take_a_rectangle(file, root, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["check", str(file), "--no-probe", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["folder"]["lost"] < 0.05 and document["folder"]["advice"] == []
    words = ["--data", "folder", "--root", str(root), "--set", "data.size=[24, 40]", "--epochs", "1", "--json"]
    assert main(["train", "resnet20_cifar", *words, "--output", "trained"]) == 0
    capsys.readouterr()
    assert main(["profile", "trained/model.yaml", "--json"]) == 0
    profiled = json.loads(capsys.readouterr().out)
    assert profiled["input"] == [3, 24, 40]
