"""A shipped space is known by its name from any folder; a name that is none suggests the nearest."""

from pathlib import Path

import pytest

from archsearch.reading.errors import InputError
from archsearch.space.loading import load_space
from archsearch.space.shipped import FOLDER, space_path

NAMES = sorted(path.stem for path in (Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spelling", ["{}", "{}.yaml", "search_spaces/{}.yaml", "search_spaces/{}"])
def test_a_shipped_space_loads_by_name_from_any_folder(name: str, spelling: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()  # an experiment's folder may have its name
    assert space_path(spelling.format(name)) == FOLDER / f"{name}.yaml"
    assert load_space(Path(spelling.format(name))) == load_space(FOLDER / f"{name}.yaml")


@pytest.mark.parametrize("file", ["digits", "digits.yaml", "search_spaces/digits.yaml"])
def test_a_file_that_is_there_comes_before_the_shipped_space_of_its_name(file: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / file).write_text((FOLDER / "digits.yaml").read_text())
    assert space_path(file) == Path(file)
    assert load_space(file, ["name=mine"]).document.file == file


@pytest.mark.parametrize(
    ("name", "hint"),
    [("digts", "digits"), ("search_spaces/digit.yaml", "digits"), ("resnet_fasion", "resnet_fashion"), ("zzz", "")],
)
def test_an_unknown_name_says_which_there_are_and_suggests_the_nearest(name, hint, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as refused:
        load_space(name)
    (problem,) = refused.value.problems
    assert all(shipped in problem.allowed for shipped in NAMES)
    assert problem.hint == (f"did you mean {hint}?" if hint else "")


@pytest.mark.parametrize("path", ["mine.yaml", "other/digits.yaml", "/digits.yaml", "folder", "a" * 5000 + ".yaml"])
def test_any_other_path_is_read_as_it_is(path: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert space_path(path) == Path(path)
