"""In which precision a device trains, as measured and kept."""

import json
from pathlib import Path

import pytest
import torch

from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.loop import Training
from archsearch.training.measuring import precision
from archsearch.training.measuring.precision import choose_precision
from tests.training.nets import tiny

SETTINGS = TrainingSettings(batch_size=16, device="cpu")


def net(*image: int, depth: int = 1, width: int = 8) -> Architecture:
    return Architecture.from_dict({"input": image, "classes": 10, "stages": [{"depth": depth, "width": width}]})


def test_it_is_measured_once_and_then_read(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "precision.json"
    first = choose_precision(net(1, 8, 8), SETTINGS, threads=1, cache=file)
    assert first.float32_ms > 0 and first.bfloat16_ms > 0
    faster = first.float32_ms >= precision.WORTH_IT * first.bfloat16_ms
    assert first.precision == ("bfloat16" if faster else "float32")
    known = json.loads(file.read_text())
    (key,) = known
    known[key]["float32_ms"] = 1234.0
    file.write_text(json.dumps(known))
    assert choose_precision(net(1, 8, 8), SETTINGS, threads=1, cache=file).float32_ms == 1234.0
    assert str(first).startswith(first.precision) and "times as fast" in str(first)


def test_depth_is_no_other_question_and_width_is(tmp_path: Path) -> None:
    file = tmp_path / "precision.json"
    for words in ({}, {"depth": 3}, {"width": 16}):
        choose_precision(net(1, 4, 4, **words), SETTINGS, threads=1, cache=file)
    assert len(json.loads(file.read_text())) == 2


def test_a_large_network_is_measured_on_few_images(tmp_path: Path) -> None:
    file, wide = tmp_path / "precision.json", net(1, 32, 32, width=256)
    choose_precision(wide, TrainingSettings(batch_size=128, device="cpu"), threads=1, cache=file)
    (key,) = json.loads(file.read_text())
    assert int(key.split("batch ")[1].split()[0]) < 10


def test_another_image_size_is_another_question(tmp_path: Path) -> None:
    file = tmp_path / "precision.json"
    for image in ((1, 8, 8), (3, 3, 2)):
        choose_precision(net(*image), SETTINGS, threads=1, cache=file)
    assert len(json.loads(file.read_text())) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"other": 1}'])
def test_a_damaged_file_is_done_without(tmp_path: Path, text: str) -> None:
    file = tmp_path / "precision.json"
    file.write_text(text)
    assert choose_precision(net(1, 4, 4), SETTINGS, threads=1, cache=file).threads == 1


def test_a_place_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert choose_precision(net(1, 4, 4), SETTINGS, threads=1, cache=tmp_path / "file" / "precision.json").threads == 1


def test_threads_are_put_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    choose_precision(net(1, 4, 4), SETTINGS, threads=before + 1, cache=tmp_path / "p.json")
    assert torch.get_num_threads() == before


def test_the_settings_word_decides_and_bfloat16_learns_as_well() -> None:
    images = load_images(DataSettings())
    settings = TrainingSettings(epochs=6, precision="bfloat16", device="cpu")
    training = Training(tiny(), images, settings, seed=0)
    history = list(training)
    assert training.precision == "bfloat16"
    assert history[-1].validation_accuracy > 0.9
    assert all(p.dtype == torch.float32 for p in training.model.parameters())
    again = Training(tiny(), images, settings, seed=0)
    assert next(again).train_loss == history[0].train_loss
