"""What a file leaves out follows from its images: steps decide, not epochs; what is set stays."""

from pathlib import Path

import pytest

from archsearch.space.fitting import (
    FEW_STEPS,
    FIRST_RUNG_STEPS,
    ImageFacts,
    auto_recipe,
    expected,
    first_rung,
    fitted,
    suited,
)
from archsearch.space.loading import load_space
from archsearch.space.settings import TrainingSettings
from archsearch.space.space import SearchSpace

SPACE = """archsearch: 1
name: few
data: {name: digits}
space: {stages: 2, depth: {int: [1, 2]}, width: {choice: [8, 16]}}
"""
CLOTHES = ImageFacts(train=1084, shape=(3, 28, 28), mirrored=0.97)
PHOTOS = ImageFacts(train=50_000, shape=(3, 32, 32), mirrored=0.95)
NUMERALS = ImageFacts(train=1150, shape=(1, 8, 8), mirrored=0.3)


def space(folder: Path, more: str = "") -> SearchSpace:
    file = folder / "few.yaml"
    file.write_text(SPACE + more)
    return load_space(file)


@pytest.mark.parametrize(
    ("facts", "timed", "epochs", "batch", "padding", "flip"),
    [
        (CLOTHES, False, 61, 32, 2, True),  # 33 steps an epoch, 2,013 in all
        (CLOTHES, True, 182, 32, 2, True),
        (PHOTOS, False, 20, 128, 3, True),
        (NUMERALS, False, 57, 32, 1, False),
        (ImageFacts(train=5000, shape=(3, 64, 96), mirrored=0.5), False, 26, 64, 6, True),
        (ImageFacts(train=200, shape=(1, 8, 8), mirrored=0.49), False, 200, 32, 1, False),
    ],
)
def test_the_recipe_follows_from_the_images(facts, timed, epochs, batch, padding, flip) -> None:
    settings = auto_recipe({}, facts, timed=timed)
    found = [settings[name] for name in ("epochs", "batch_size", "crop_padding", "flip", "ema", "recipe")]
    assert found == [epochs, batch, padding, flip, 0.99, "none"]
    assert "resized_crop" not in settings


def test_a_short_training_is_not_augmented() -> None:
    """What is left out stays at its default: after 150 steps, crops only make the images harder."""
    short = auto_recipe({"epochs": 9, "batch_size": 64}, NUMERALS)
    assert short["flip"] is False and "crop_padding" not in short
    assert auto_recipe({"epochs": 30}, CLOTHES)["flip"] is False  # 990 steps
    assert auto_recipe({"epochs": 31}, CLOTHES)["flip"] is True


def test_large_images_are_cropped_and_resized() -> None:
    facts = ImageFacts(train=3000, shape=(3, 128, 96), mirrored=1.0)
    assert auto_recipe({}, facts)["resized_crop"] == 0.35
    assert "crop_padding" not in auto_recipe({}, facts)
    assert "resized_crop" not in auto_recipe({"crop_padding": 4}, facts)
    assert "crop_padding" not in auto_recipe({"resized_crop": 0.2}, CLOTHES)


def test_a_file_that_says_nothing_is_fitted_and_written_out(tmp_path: Path) -> None:
    filled = fitted(space(tmp_path), CLOTHES)
    assert (filled.training.recipe, filled.training.epochs, filled.training.batch_size) == ("none", 61, 32)
    assert filled.search.early_stopping.grace_epochs == 7 and FIRST_RUNG_STEPS <= 7 * (1084 // 32)
    (note,) = filled.notes
    assert "1,084 training images of 3x28x28; a linear classifier recognises mirrored images" in note
    assert "97% as often as unmirrored ones: epochs 61" in note
    assert "flip true" in note and "ema" not in note
    again = tmp_path / "again.yaml"
    again.write_text(filled.to_yaml())
    assert load_space(again) == filled
    assert fitted(load_space(again), PHOTOS).to_yaml() == filled.to_yaml()


def test_what_a_file_sets_is_kept(tmp_path: Path) -> None:
    own = "training: {epochs: 30, batch_size: 20, flip: false, learning_rate: {float: [0.01, 0.1], log: true}}\n"
    own += "search: {early_stopping: {grace_epochs: 2}}\n"
    found = fitted(space(tmp_path, own), CLOTHES)
    training = found.training
    assert (training.epochs, training.batch_size, training.flip, training.crop_padding) == (30, 20, False, 2)
    assert found.search.early_stopping.grace_epochs == 2
    assert list(found.trainings.varied) == ["learning_rate"]
    assert "flip" not in found.notes[0] and "epochs" not in found.notes[0]


@pytest.mark.parametrize("recipe", ["none", "fast", "paper_resnet"])
def test_another_recipe_is_left_alone(tmp_path: Path, recipe: str) -> None:
    before = space(tmp_path, f"training: {{recipe: {recipe}, epochs: 10}}\n")
    assert fitted(before, CLOTHES).to_yaml() == before.to_yaml()
    assert suited(before.training, CLOTHES) == before.training


def test_a_training_of_few_steps_is_warned_of(tmp_path: Path) -> None:
    short = fitted(space(tmp_path, "training: {epochs: 9, batch_size: 64, recipe: fast}\n"), CLOTHES)
    assert short.notes == (
        "training: 16 steps per epoch, 144 in total, which is too few to learn much; try --set training.epochs=125",
    )
    assert FEW_STEPS > 16 * 9
    assert not fitted(space(tmp_path, "training: {epochs: 10, batch_size: 64, recipe: fast}\n"), CLOTHES).notes


@pytest.mark.parametrize(
    ("epochs", "batch", "reduction", "rung"),
    [(60, 32, 3, 7), (60, 32, 2, 8), (182, 32, 3, 7), (60, 512, 3, 20), (9, 64, 3, 3), (1, 32, 3, 1)],
)
def test_the_first_rung_has_steps_enough_and_leaves_room_above(epochs, batch, reduction, rung) -> None:
    training = TrainingSettings(epochs=epochs, batch_size=batch)
    assert first_rung(training, CLOTHES, reduction) == rung


def test_a_single_training_is_suited_too() -> None:
    training = TrainingSettings.model_validate({"epochs": 50, "crop_padding": 0})
    found = suited(training, CLOTHES)
    assert (found.epochs, found.crop_padding, found.flip, found.recipe) == (50, 0, True, "none")


def test_what_is_expected_of_a_data_set_known_by_name(tmp_path: Path) -> None:
    found = expected(space(tmp_path))
    assert (found.training.epochs, found.training.batch_size, found.training.flip) == (53, 32, True)
    assert found.notes == ()
