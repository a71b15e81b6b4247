"""Recipes by name are short for words, which are written out; a file's own words win."""

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from archsearch.reading.errors import InputError
from archsearch.space.loading import load_space
from archsearch.space.overrides import read_train_settings
from archsearch.space.recipes import EXCLUSIVE, RECIPES, RecipeName
from archsearch.space.settings import DataSettings, TrainingSettings

from .test_broken_files import GOOD

# The papers' own words: see the recipes' sources.
PAPERS: dict[str, dict[str, Any]] = {
    "paper_resnet": {"epochs": 164, "batch_size": 128, "weight_decay": 1e-4, "step_factor": 0.1, "nesterov": False,
                     "falls_at": [82, 123]},
    "paper_wrn": {"epochs": 200, "batch_size": 128, "weight_decay": 5e-4, "step_factor": 0.2, "nesterov": True,
                  "falls_at": [60, 120, 160]},
    "paper_resnext": {"epochs": 300, "batch_size": 128, "weight_decay": 5e-4, "step_factor": 0.1, "nesterov": True,
                      "falls_at": [150, 225]},
    "paper_densenet": {"epochs": 300, "batch_size": 64, "weight_decay": 1e-4, "step_factor": 0.1, "nesterov": True,
                       "falls_at": [150, 225]},
    "paper_stochastic_depth": {"epochs": 500, "batch_size": 128, "weight_decay": 1e-4, "step_factor": 0.1,
                               "nesterov": True, "falls_at": [250, 375]},
    "paper_imagenet": {"epochs": 90, "batch_size": 256, "weight_decay": 1e-4, "step_factor": 0.1, "nesterov": True,
                       "falls_at": [30, 60], "pca_colour": 0.1, "colour_jitter": 0.4, "resized_crop": 0.08},
    "paper_resnet_imagenet": {"epochs": 120, "batch_size": 256, "weight_decay": 1e-4, "step_factor": 0.1,
                              "nesterov": False, "schedule": "plateau", "scale_jitter": (256 / 224, 480 / 224),
                              "pca_colour": 0.1, "crop_from": "file"},
}  # fmt: skip


def test_every_name_is_a_recipe() -> None:
    assert set(RECIPES) | {"none", "auto"} == set(get_args(RecipeName))
    assert set(PAPERS) == {name for name in RECIPES if name.startswith("paper")}


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_recipe_is_what_the_paper_says(name: str) -> None:
    found = TrainingSettings.model_validate({"recipe": name})
    words = dict(PAPERS[name])
    falls_at, schedule = words.pop("falls_at", None), words.get("schedule", "step")
    assert {word: getattr(found, word) for word in words} == words
    assert falls_at is None or [round(share * found.epochs) for share in found.milestones] == falls_at
    assert (found.optimizer, found.learning_rate, found.momentum, found.schedule) == ("sgd", 0.1, 0.9, schedule)
    assert (found.warmup, found.label_smoothing, found.ema, found.mixup, found.cutmix) == (0, 0, 0, 0, 0)
    assert found.decay_norms_and_biases and found.flip


def test_rsb_a3_is_what_the_papers_table_says() -> None:
    found = TrainingSettings.model_validate({"recipe": "rsb_a3"})
    table = {
        "epochs": 100, "batch_size": 2048, "optimizer": "lamb", "learning_rate": 8e-3, "schedule": "cosine",
        "weight_decay": 0.02, "label_smoothing": 0, "repeated_augmentation": 1, "clip_norm": None, "flip": True,
        "resized_crop": 0.08, "policy": "rand_augment", "policy_magnitude": 6, "policy_spread": 0.5, "mixup": 0.1,
        "cutmix": 1.0, "random_erasing": 0, "colour_jitter": 0, "loss": "binary_cross_entropy", "ema": 0,
        "decay_norms_and_biases": False,
    }  # fmt: skip
    assert {word: getattr(found, word) for word in table} == table
    assert found.warmup * found.epochs == 5 and found.trained_size(224, 224) == (160, 160) and found.crops_files


@pytest.mark.parametrize(
    ("recipe", "ratio", "normalise"),
    [("paper_imagenet", 0.875, "standard"), ("paper_resnet_imagenet", 0.875, "mean"), ("rsb_a3", 0.95, "standard")],
)
def test_a_recipe_for_imagenet_says_what_evaluation_sees_of_files(recipe: str, ratio: float, normalise: str) -> None:
    files = {"data.name": ("data", "folder"), "data.size": ("data", 224)}
    data = read_train_settings(files, [f"training.recipe={recipe}"]).data
    assert (data.crop_ratio, data.normalise, data.in_memory) == (ratio, normalise, False)
    own = ["data.crop_ratio=0.9", "data.normalise=standard", "data.in_memory=true"]
    data = read_train_settings(files, [f"training.recipe={recipe}", *own]).data
    assert (data.crop_ratio, data.normalise, data.in_memory) == (0.9, "standard", True)
    assert read_train_settings(files, [f"training.recipe={recipe}", "data.fit=pad"]).data.crop_ratio == 1
    assert read_train_settings({}, [f"training.recipe={recipe}"]).data == DataSettings()
    assert read_train_settings(files, ["training.recipe=paper_wrn"]).data.crop_ratio == 1


@pytest.mark.parametrize("name", RECIPES)
def test_the_files_own_words_win_and_the_rest_is_written_out(name: str) -> None:
    own = {"learning_rate": 0.05, "epochs": 7, "nesterov": False}
    found = TrainingSettings.model_validate({"recipe": name, **own})
    expected = TrainingSettings.model_validate({**RECIPES[name], **own, "recipe": "none"})
    assert found == expected and found.recipe == "none"
    assert (found.learning_rate, found.epochs, found.nesterov) == (0.05, 7, False)
    assert found != TrainingSettings.model_validate({**own, "recipe": "none"})


def test_without_a_recipe_the_words_are_as_they_were() -> None:
    """Recipe auto fills nothing before the images are known."""
    automatic = TrainingSettings.model_validate({})
    assert automatic.to_dict() == {} and automatic.recipe == "auto"
    none = TrainingSettings.model_validate({"recipe": "none"})
    assert none.to_dict() == {"recipe": "none"}
    assert none == automatic.model_copy(update={"recipe": "none"})


@pytest.mark.parametrize("words", [{}, {"learning_rate": 0.3}, {"label_smoothing": 0.0, "ema": 0.0}, {"warmup": 0.2}])
@pytest.mark.parametrize("start", [{"recipe": name} for name in RECIPES] + [{"schedule": "linear"}, {}])
def test_words_that_are_written_and_read_again_are_the_same(words: dict[str, Any], start: dict[str, Any]) -> None:
    if start.get("recipe") == "paper_resnet_imagenet":
        words = {word: value for word, value in words.items() if word != "warmup"}  # a plateau has none
    found = TrainingSettings.model_validate({**start, **words})
    for written in (found.to_dict(), found.model_dump(mode="json"), found.model_dump()):
        assert TrainingSettings.model_validate(written) == found


@pytest.mark.parametrize(
    "words", [{"crop_padding": 2}, {"resized_crop": 0.5}, {"crop_padding": 0}, {"scale_jitter": (1, 2)}]
)
@pytest.mark.parametrize("name", ["paper_wrn", "paper_imagenet", "paper_resnet_imagenet", "rsb_a3"])
def test_a_file_that_crops_one_way_is_not_given_the_other(name: str, words: dict[str, Any]) -> None:
    found = TrainingSettings.model_validate({"recipe": name, **words})
    defaults = dict.fromkeys((word for group in EXCLUSIVE for word in group), 0)
    assert {word: getattr(found, word) or 0 for word in defaults} == {**defaults, **words}


@pytest.mark.parametrize(
    ("schedule", "warmup"),
    [("one_cycle", 0.2), ("cosine", 0.2), ("constant", 0.2), ("linear", 0.0), ("step", 0.0)],
)
def test_the_warm_up_that_is_not_asked_for(schedule: str, warmup: float) -> None:
    assert TrainingSettings.model_validate({"schedule": schedule}).warmup == warmup
    assert TrainingSettings.model_validate({"schedule": schedule, "warmup": 0.1}).warmup == 0.1
    assert TrainingSettings.model_validate({"schedule": "plateau"}).warmup == 0.0


def test_a_space_as_resolved_holds_plain_numbers_and_loads_back(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(GOOD + "training: {recipe: paper_wrn, epochs: 20}\n")
    space = load_space(path)
    text = space.to_yaml()
    for line in ("recipe: none", "milestones: [0.3, 0.6, 0.8]", "weight_decay: 0.0005", "epochs: 20", "warmup: 0.0"):
        assert line in text, text
    again = tmp_path / "resolved.yaml"
    again.write_text(text)
    assert load_space(again).training == space.training
    with pytest.raises(InputError, match=r"recipe fast has no effect.*allowed: fewer settings"):
        load_space(again, ["training.recipe=fast"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "milestones: [0.5, 0.5]",
            r"milestones \[0.5, 0.5\] do not increase; allowed: a list of 1 to 16 increasing shares",
        ),
        ("milestones: [0.75, 0.5]", "do not increase; allowed"),
        ("milestones: []", r"training.milestones is \[\]; allowed: a list of 1 to 16 increasing shares"),
        ("milestones: [30, 60]", r"training.milestones\[0\] is 30; allowed: a share of the training, above 0 and"),
        ("milestones: 0.5", "training.milestones is 0.5; allowed: a list of 1 to 16"),
        ("milestones: ['0.5']", r"milestones\[0\] is '0.5'.*\n.*without quotes"),
        ("schedule: step, warmup: 0.6", "warm-up of 0.6 of the training ends after.*; allowed: a warmup that ends"),
        ("schedule: plateau, warmup: 0.1", "a warm-up of 0.1 with the schedule plateau; allowed: warmup: 0"),
        ("patience: 0", "training.patience is 0; allowed: an integer from 1 to 1000"),
        ("recipe: paper", "training.recipe is 'paper'; allowed: auto, none, fast, paper_resnet"),
        ("recipe: [fast]", "training.recipe is .*; allowed: auto, none, fast"),
        ("step_factor: 1", "training.step_factor is 1; allowed: a number above 0 and below 1"),
        ("ema: 1", "training.ema is 1; allowed: a number of at least 0 and below 1"),
        ("clip_norm: 0", "training.clip_norm is 0; allowed: a number above 0"),
        ("cutmix: -1", "training.cutmix is -1; allowed: a number from 0 to 100"),
        ("mixup: on", "training.mixup is 'on'; allowed: a number from 0 to 100"),
        ("nesterov: 1", "training.nesterov is 1; allowed: true or false"),
        (
            "schedule: steps",
            "'steps'; allowed: one_cycle, cosine, linear, step, plateau, constant\n.*did you mean step",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(tmp_path: Path, words: str, told: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(f"{GOOD}training: {{{words}}}\n")
    with pytest.raises(InputError, match=f"(?s){told}"):
        load_space(path)


def test_settings_cannot_be_changed_and_can_be_hashed() -> None:
    found = TrainingSettings.model_validate({"recipe": "paper_wrn"})
    assert hash(found) == hash(TrainingSettings.model_validate({"recipe": "paper_wrn"}))
    with pytest.raises(ValidationError, match="frozen"):
        found.milestones = (0.5,)  # type: ignore[misc]
