"""A file, with what the command line sets over it, as a resolved space that loads back equal."""

import subprocess
import sys
from pathlib import Path

import pytest

from archsearch.architecture.cost import cost
from archsearch.reading.errors import InputError
from archsearch.space.choices import RandomChoices
from archsearch.space.datasets import class_folders
from archsearch.space.loading import load_space
from archsearch.space.settings import DataSettings

from .spaces import drawn, space_of

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
CIFAR = next(path for path in SPACES if path.name == "resnet_cifar.yaml")


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.name)
def test_a_shipped_space_loads_opens_with_its_cost_and_has_networks_in_and_beyond_budget(path: Path) -> None:
    space = load_space(path)
    assert path.read_text().startswith("# ")
    assert "# Cost: " in path.read_text()
    admitted = [space.budget.admits(cost(network)) for network in drawn(space, 60)]
    assert 3 <= sum(admitted) < 60
    assert not space.notes


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.name)
def test_the_resolved_file_loads_back_equal_and_draws_the_same(path: Path, tmp_path: Path) -> None:
    space = load_space(path, ["search.seed=7", "space.stem.width={choice: [8, 16]}"])
    resolved = tmp_path / "space.yaml"
    resolved.write_text(space.to_yaml())
    again = load_space(resolved)
    assert again == space
    assert again.to_yaml() == space.to_yaml()
    assert list(again.parameters) == list(space.parameters)
    assert drawn(again, 5) == drawn(space, 5)


def test_the_order_of_a_files_words_changes_no_draw(tmp_path: Path) -> None:
    words = (
        "width: {choice: [8, 16]}\nblock: {choice: [basic, bottleneck]}\nstages: {int: [1, 2]}\ndepth: {int: [1, 9]}"
    )
    one = space_of(tmp_path, words)
    other = space_of(tmp_path, "\n".join(reversed(words.split("\n"))))
    assert [one.architecture(RandomChoices(s)) for s in range(9)] == [
        other.architecture(RandomChoices(s)) for s in range(9)
    ]


def test_overrides_are_set_in_order_before_anything_is_checked() -> None:
    space = load_space(CIFAR, ["search.trials=8", "search.trials=9", "space.depth={int: [1, 3]}", "data.limit=500"])
    assert (space.search.trials, space.data.limit) == (9, 500)
    assert space.parameters["depth"].to_data() == {"int": [1, 3]}
    assert load_space(CIFAR, ["search.early_stopping.kind=none"]).search.early_stopping.kind == "none"


OVERRIDES = {
    "data.name=digts": ("data.name is 'digts'", "digits, cifar10"),
    "space.dept=3": ("unknown key 'dept'", "depth"),
    "space.block={choice: [basic, wide]}": ("'wide'", "basic, bottleneck"),
    "space.width.a.b=1": ("unknown key 'a'", "choice"),
    "space.stages.int=1": ("which has no keys below it", "mapping"),
    "search.trials=[": ("not readable as YAML", "YAML"),
    "search.trials=!!int 3": ("tag", "no tags"),
    "budget.flops.max=1k": ("smallest", "or more"),
    "budget.flops.min=1T": ("1T is above", "lowest <= highest"),
    "archsearch=3": ("version 3", "archsearch: 1"),
    "nothing.at.all=1": ("unknown key 'nothing'", "space"),
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_an_error_in_an_override_names_the_override(override: str) -> None:
    found, allowed = OVERRIDES[override]
    with pytest.raises(InputError) as caught:
        load_space(CIFAR, [override])
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"--set {override}: ")
    assert found in problem.message
    assert allowed in problem.allowed


@pytest.mark.parametrize("override", ["search.trials", "=3", "a..b=1", "a b=1", ""])
def test_an_override_is_key_and_value(override: str) -> None:
    with pytest.raises(InputError, match="key=value"):
        load_space(CIFAR, [override])


def test_another_data_set_brings_its_shape_and_a_validation_split_that_fits() -> None:
    space = load_space(CIFAR, ["data.name=digits"])
    assert (space.input, space.classes) == ((1, 8, 8), 10)
    assert space.data.validation == 0.15
    assert "5,000" in space.notes[0]
    assert space.architecture(RandomChoices(0)).input == (1, 8, 8)
    fashion = load_space(CIFAR, ["data.name=fashion_mnist"])
    assert (fashion.input, fashion.data.validation, fashion.notes) == ((1, 28, 28), 5000, ())


def test_the_digits_that_are_held_back_are_those_that_training_has() -> None:
    from archsearch.data.datasets import load_images
    from archsearch.space.datasets import facts
    from archsearch.space.settings import DataSettings

    settings = DataSettings.model_validate({"name": "digits"})
    images = load_images(settings)
    assert len(images.train.labels) + len(images.validation.labels) == facts(settings).images


def test_validation_is_a_number_of_images_from_1_and_a_share_below(tmp_path: Path) -> None:
    words = "stages: 1\ndepth: 1\nwidth: 8"
    for written, kept in (("1", 1), ("718", 718), ("719", 0.15), ("50000", 0.15), ("0.6", 0.6), ("0.999", 0.999)):
        space = space_of(tmp_path, words, f"data: {{name: digits, validation: {written}}}\n")
        assert space.data.validation == kept, written
        assert bool(space.notes) == (written in ("719", "50000")), written
    for written in ("1.0", "1.5", "300.5"):
        with pytest.raises(InputError, match=rf"data.validation is {written}.*allowed: a whole number of images"):
            space_of(tmp_path, words, f"data: {{name: digits, validation: {written}}}\n")


def test_a_folders_classes_are_its_sub_folders(tmp_path: Path) -> None:
    for name in ("cat", "dog", "emu", ".hidden"):
        (tmp_path / "images" / "train" / name).mkdir(parents=True)
    (tmp_path / "images" / "train" / "notes.txt").write_text("")
    assert class_folders(tmp_path / "images") == ("cat", "dog", "emu")
    assert class_folders(tmp_path / "images" / "train") == ("cat", "dog", "emu")
    rest = f"data: {{name: folder, root: {tmp_path}/images, size: 48}}\n"
    space = space_of(tmp_path, "stages: 1\ndepth: 1\nwidth: 8", rest)
    assert (space.input, space.classes) == ((3, 48, 48), 3)


@pytest.mark.parametrize("root", ["~/images", "$HOME/images", "${HOME}/images", "$WHERE"])
def test_a_root_may_name_home_and_variables(root: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WHERE", str(tmp_path / "home" / "images"))
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "home" / "images" / name).mkdir(parents=True)
    words, data = "stages: 1\ndepth: 1\nwidth: 8", f"data: {{name: folder, root: '{root}', size: 48}}\n"
    assert space_of(tmp_path, words, data).data.root == str(tmp_path / "home" / "images")
    (tmp_path / "~").mkdir()
    assert DataSettings(root="~").root == "~", "a folder of that very name goes first"
    assert DataSettings(root="$NOBODY_SET_THIS/images").root == "$NOBODY_SET_THIS/images"


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one" / "cat").mkdir(parents=True)
    for root, found in ((tmp_path / "none", "no such folder"), (tmp_path / "one", "single sub-folder")):
        with pytest.raises(InputError, match=found):
            class_folders(root)


def test_loading_and_sampling_load_no_torch_ray_optuna_or_mlflow() -> None:
    code = (
        "import sys; from archsearch.space.choices import RandomChoices;"
        "from archsearch.space.loading import load_space;"
        "load_space(sys.argv[1]).architecture(RandomChoices(0));"
        "print({'torch', 'ray', 'optuna', 'mlflow', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(CIFAR)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
