"""Words of `training:` with domains: what is taken, what is refused and where, what is drawn, what is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from archsearch.reading.errors import InputError
from archsearch.reading.yaml import read
from archsearch.space.choices import RandomChoices, RecordedChoices, Recorder
from archsearch.space.loading import load_space
from archsearch.space.many.feasible import Feasible
from archsearch.space.schema import json_schema
from archsearch.space.settings import TrainingSettings
from archsearch.space.space import SearchSpace
from archsearch.space.trainings import SEARCHABLE

from .spaces import space_of

NETWORK = "stages: 1\ndepth: {int: [1, 4]}\nwidth: 8\n"
EVERYTHING = """\
training:
  epochs: 4
  batch_size: {int: [16, 64], step: 16}
  optimizer: {choice: [sgd, adamw, lamb]}
  learning_rate: {float: [0.001, 0.5], log: true}
  layer_decay: {choice: [0.7, 1.0]}
  freeze: {choice: [none, bn]}
  momentum: {float: [0, 0.9], step: 0.45}
  nesterov: {choice: [true, false], when: {optimizer: sgd}}
  weight_decay: {choice: [0, 0.0005]}
  decay_norms_and_biases: {choice: [true, false]}
  clip_norm: {choice: [null, 1.0]}
  ema: {choice: [0, 0.99]}
  schedule: {choice: [one_cycle, cosine, linear, step, plateau, constant]}
  step_factor: {choice: [0.1, 0.2], when: {schedule: [step, plateau]}}
  patience: {int: [2, 6], when: {schedule: plateau}}
  warmup: {float: [0, 0.9], when: {schedule: [one_cycle, cosine]}}
  label_smoothing: {float: [0, 0.2], step: 0.1}
  loss: {choice: [cross_entropy, binary_cross_entropy, focal]}
  focal_gamma: {float: [1, 3], step: 1, when: {loss: focal}}
  teacher_share: {choice: [0.2, 0.8]}
  teacher_temperature: {choice: [1, 4]}
  class_weights: {choice: [none, balanced]}
  sampling: {choice: [uniform, balanced]}
  repeated_augmentation: {choice: [1, 3]}
  mixup: {choice: [0, 0.2]}
  cutmix: {choice: [0, 1]}
start: {weights: [trained]}
"""


def space(folder: Path, training: str) -> SearchSpace:
    return space_of(folder, NETWORK, training)


def test_all_that_may_vary_varies_and_every_drawn_training_is_one(tmp_path: Path) -> None:
    found = space(tmp_path, EVERYTHING)
    assert tuple(found.trainings.varied) == SEARCHABLE
    seen: dict[str, set[object]] = {word: set() for word in SEARCHABLE}
    for seed in range(400):
        recorder = Recorder(RandomChoices(seed))
        settings = found.trainings.settings(recorder)
        taken = {name.removeprefix("training."): value for name, value in recorder.taken.items()}
        for word, value in taken.items():
            domain = found.trainings.varied[word].domain
            assert domain is not None and domain.holds(value)
            assert getattr(settings, word) == value
            seen[word].add(value)
        assert ("nesterov" in taken) == (settings.optimizer == "sgd")
        assert ("warmup" in taken) == (settings.schedule in ("one_cycle", "cosine"))
        if "warmup" not in taken:
            assert settings.warmup == (0.2 if settings.schedule == "constant" else 0.0), "its default, by the schedule"
        assert settings.epochs == 4
        overrides = found.trainings.overrides(recorder.taken)
        assert found.training.with_overrides(overrides) == settings, "what a worker makes of them"
    assert {len(values) for values in seen.values()} >= {2, 3, 4, 5}
    assert seen["clip_norm"] == {None, 1.0}


@pytest.mark.parametrize("freeze", ["trunk", "{choice: [none, bn]}"])
def test_nothing_is_frozen_in_a_space_whose_networks_begin_with_initial_values(tmp_path: Path, freeze: str) -> None:
    with pytest.raises(InputError, match=r"training\.freeze of networks with initial values; allowed: none; or start"):
        space(tmp_path, f"training: {{freeze: {freeze}}}\n")


LOOSE = "training: {schedule: {choice: [one_cycle, step]}, recipe: fast}\n"


@pytest.mark.parametrize("training", [EVERYTHING, LOOSE])
def test_a_space_as_resolved_loads_back_to_the_same(tmp_path: Path, training: str) -> None:
    found = space(tmp_path, training)
    again = tmp_path / "again.yaml"
    again.write_text(found.to_yaml())
    assert load_space(again) == found


def test_a_warm_up_that_is_left_out_is_that_of_the_schedule_also_as_resolved(tmp_path: Path) -> None:
    found = space(tmp_path, LOOSE)
    again = tmp_path / "again.yaml"
    again.write_text(found.to_yaml())
    for loaded in (found, load_space(again)):
        for schedule, warmup in (("one_cycle", 0.2), ("step", 0.0)):
            assert loaded.trainings.settings(RecordedChoices({"training.schedule": schedule})).warmup == warmup


def test_networks_are_drawn_as_without_searched_words(tmp_path: Path) -> None:
    plain, varied = space(tmp_path, "training: {epochs: 4}\n"), space(tmp_path, EVERYTHING)
    for seed in range(20):
        assert varied.architecture(RandomChoices(seed)) == plain.architecture(RandomChoices(seed))
    assert plain.trainings.parameters == {}
    assert plain.trainings.overrides({"depth": 2}) == {}
    assert plain.trainings.identity("0123", {}) == "0123"


def test_the_size_has_the_trainings_in_it(tmp_path: Path) -> None:
    conditional = "nesterov: {choice: [true, false], when: {optimizer: sgd}}"
    words = f"optimizer: {{choice: [sgd, adamw]}}, {conditional}, ema: {{choice: [0, 0.9]}}"
    found = space(tmp_path, f"training: {{{words}}}\n")
    assert (found.networks().count, found.extent().count, found.extent().exact) == (4, 4 * (2 + 1) * 2, True)
    rows = Feasible(found, seed=0).everything
    assert rows is not None and len(rows) == 24
    assert len({name for name, _ in found.dimensions()}) == 4
    assert found.networks_alone().size() == 4


def test_what_is_handed_out_is_a_training_and_costs_what_its_network_does(tmp_path: Path) -> None:
    found = space(tmp_path, EVERYTHING)
    feasible = Feasible(found, seed=0)
    rows = feasible.draw(40, np.random.default_rng(0))
    depths = np.array([feasible.grid.choices(row)["depth"] for row in rows])
    params = feasible.costs(rows)["params"]
    for row in rows:
        choices = feasible.grid.choices(row)
        found.trainings.settings(RecordedChoices(choices))
        again = feasible.grid.codes(choices, np.random.default_rng(1))
        assert again is not None and again.tolist() == row.tolist()
    assert len({tuple(row) for row in rows.tolist()}) == 40
    assert all(len(set(params[depths == depth].tolist())) == 1 for depth in set(depths.tolist()))
    (near,) = feasible.neighbours(rows[0], 1, np.random.default_rng(0))
    assert (near != rows[0]).any()


def test_a_recipe_does_not_fill_a_word_that_varies(tmp_path: Path) -> None:
    found = space(tmp_path, "training: {recipe: paper_wrn, weight_decay: {choice: [0.001, 0.002]}, "
                            "momentum: {choice: [0.5, 0.8], when: {weight_decay: 0.002}}}\n")  # fmt: skip
    assert found.training.milestones == (0.3, 0.6, 0.8)
    assert found.training.weight_decay == 0.001
    for decay, asked, momentum in ((0.001, {}, 0.9), (0.002, {"training.momentum": 0.5}, 0.5)):
        settings = found.trainings.settings(RecordedChoices({"training.weight_decay": decay, **asked}))
        assert (settings.weight_decay, settings.momentum, settings.schedule) == (decay, momentum, "step")


def test_two_trainings_are_the_same_where_what_differs_does_nothing(tmp_path: Path) -> None:
    words = "optimizer: {choice: [sgd, adamw]}, nesterov: {choice: [true, false]}, learning_rate: {choice: [0.1, 0.2]}"
    trainings = space(tmp_path, f"training: {{{words}}}\n").trainings

    def identity(optimizer: str, nesterov: bool, rate: float) -> str:
        chosen = {"training.optimizer": optimizer, "training.nesterov": nesterov, "training.learning_rate": rate}
        return trainings.identity("0123", trainings.overrides(chosen))

    assert identity("sgd", True, 0.1) == "0123", "the file's own, with the first values"
    assert identity("adamw", True, 0.1) == identity("adamw", False, 0.1)
    several = {identity(o, n, r) for o in ("sgd", "adamw") for n in (True, False) for r in (0.1, 0.2)}
    assert len(several) == 6
    assert all(name.startswith("0123") for name in several)


def test_predicted_memory_is_that_of_the_training_that_takes_most(tmp_path: Path) -> None:
    def memory(training: str) -> int:
        return space(tmp_path, training).training_bytes(1000, 500, 100)

    most = memory("training: {optimizer: adamw, ema: 0.9, batch_size: 64}\n")
    varied = "optimizer: {choice: [sgd, adamw]}, batch_size: {int: [16, 64]}, ema: {choice: [0, 0.9]}"
    assert memory(f"training: {{{varied}}}\n") == most > memory("training: {batch_size: 64}\n")


# name: (training, column, found, allowed, hint)
REFUSED = {
    "one for the search": ("epochs: {int: [1, 9]}", 20, "for the whole search", "may vary batch_size", "--set"),
    "precision": ("precision: {choice: [float32]}", 23, "for the whole search", "learning_rate", "each value"),
    "augmentation": ("flip: {choice: [true, false]}", 18, "for the whole search", "mixup", "each value of flip"),
    "out of range": ("ema: {choice: [0, 1]}", 30, "choice[1] is 1", "below 1", ""),
    "of a wrong type": ("optimizer: {choice: [sgd, adam]}", 38, "'adam'", "sgd, adamw", "adamw?"),
    "an end out of range": ("learning_rate: {float: [0, 0.1]}", 36, "is 0", "above 0", ""),
    "each stage": ("ema: {choice: [0, 0.9], each: stage}", 36, "for the whole training", "without each", ""),
    "a list": ("ema: [0, 0.9]", 17, "training.ema is a list", "{choice: [...]}", "write {choice: [0, 0.9]}"),
    "no domain": ("ema: {chioce: [0, 0.9]}", 17, "training.ema is {chioce", "{float: [low, high]}", "choice?"),
    "log from zero": ("mixup: {float: [0, 1], log: true}", 19, "log with a lowest value of 0", "low above 0", ""),
    "when of a network's word": ("ema: {choice: [0, 0.9], when: {depth: 1}}", 43, "'depth'", "optimizer", ""),
    "when of a bad value": ("ema: {choice: [0, 0.9], when: {optimizer: adm}}", 54, "'adm'", "sgd, adamw", "adamw?"),
    "when on itself": ("ema: {choice: [0, 0.9], when: {ema: 0}}", 42, "in a circle", "without when", ""),
    "a clash": ("schedule: {choice: [step, cosine]}, warmup: {float: [0, 0.6]}", 56, "of 0.6", "ends at", "`when`"),
    "a clash with a fixed word": ("schedule: {choice: [cosine, step]}, warmup: 0.6", 22, "of 0.6", "ends", "`when`"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_said_at_its_place(tmp_path: Path, name: str) -> None:
    training, column, found, allowed, hint = REFUSED[name]
    with pytest.raises(InputError) as caught:
        space(tmp_path, f"training: {{{training}}}\n")
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (7, column), str(problem)
    assert found in problem.message and allowed in problem.allowed and hint in problem.hint, str(problem)


def test_a_condition_may_rule_a_clash_out(tmp_path: Path) -> None:
    words = "schedule: {choice: [step, cosine]}, warmup: {float: [0, 0.6], when: {schedule: cosine}}"
    trainings = space(tmp_path, f"training: {{{words}}}\n").trainings
    assert trainings.settings(RecordedChoices({"training.schedule": "step"})).warmup == 0


def test_a_clash_is_seen_through_the_settings_that_conditions_name(tmp_path: Path) -> None:
    words = (
        "optimizer: {choice: [sgd, adamw]}, schedule: {choice: [cosine, step], when: {optimizer: adamw}}, warmup: 0.6"
    )
    with pytest.raises(InputError, match="training allows schedule 'step'"):
        space(tmp_path, f"training: {{{words}}}\n")
    by_ema = "ema: {float: [0, 0.9]}, schedule: {choice: [cosine, step], when: {ema: 0.5}}, warmup: 0.6"
    with pytest.raises(InputError, match="training allows schedule 'step'"):
        space(tmp_path, f"training: {{{by_ema}}}\n")


def test_a_network_cannot_depend_on_its_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown key 'training.optimizer' in space.block.when"):
        space_of(tmp_path, NETWORK + "block: {choice: [basic, single], when: {training.optimizer: sgd}}", EVERYTHING)


def test_set_takes_a_domain(tmp_path: Path) -> None:
    space(tmp_path, "")
    found = load_space(tmp_path / "space.yaml", ["training.learning_rate={float: [0.01, 0.1], log: true}"])
    assert list(found.trainings.varied) == ["learning_rate"]
    with pytest.raises(InputError, match=r"^--set training.epochs=\{int: \[1, 2\]\}: training.epochs is"):
        load_space(tmp_path / "space.yaml", ["training.epochs={int: [1, 2]}"])


def test_the_schema_takes_what_the_loader_takes(tmp_path: Path) -> None:
    schema = Draft202012Validator(json_schema())
    resolved = space(tmp_path, EVERYTHING)
    assert [error.message for error in schema.iter_errors(read(tmp_path / "space.yaml").data)] == []
    assert [error.message for error in schema.iter_errors(read(resolved.to_yaml()).data)] == []
    for name in ("one for the search", "out of range", "of a wrong type", "each stage", "a list", "no domain"):
        (tmp_path / "bad.yaml").write_text("archsearch: 1\nname: test\nspace: {stages: 1, depth: 1, width: 8}\n"
                                           f"training: {{{REFUSED[name][0]}}}\n")  # fmt: skip
        assert not schema.is_valid(read(tmp_path / "bad.yaml").data), name
    assert TrainingSettings.model_fields.keys() >= set(SEARCHABLE)


def test_weights_by_class_are_a_plain_value(tmp_path: Path) -> None:
    found = space(tmp_path, "training: {class_weights: {cat: 2, dog: 0.5}}\n")
    assert not found.trainings.varied and found.training.class_weights == {"cat": 2, "dog": 0.5}
    again = tmp_path / "again.yaml"
    again.write_text(found.to_yaml())
    assert load_space(again) == found
    with pytest.raises(InputError, match="cat is -1; allowed: a weight above 0"):
        space(tmp_path, "training: {class_weights: {cat: -1}}\n")
    with pytest.raises(InputError, match="names of classes to weights above 0"):
        space(tmp_path, "training: {class_weights: often}\n")
