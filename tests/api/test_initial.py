"""A space that fits a folder of images, the time, and what a person says of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.api.initial import FINAL_SHARE, affordable_flops, initial, space_for
from archsearch.architecture.cost import cost
from archsearch.cli import main
from archsearch.reading.errors import InputError
from archsearch.space.choices import RandomChoices
from archsearch.space.fitting import ImageFacts
from archsearch.space.loading import load_space
from archsearch.zoo.reference import within
from tests.data.test_surveying import picture


def silent(_: str) -> None:
    pass


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    root = tmp_path / "my shapes!"
    for seed in range(30):
        for number, name in enumerate(("round", "square", "tri")):
            picture(root / name / f"{seed}.png", 1000 * number + seed, size=(34, 30))
    return root


def test_the_space_fits_the_images_and_the_budget(shapes: Path) -> None:
    made = initial(shapes, time="5m", flops=3_000_000, params=60_000, tell=silent)
    space = made.space
    assert (space.name, space.input, space.classes) == ("my-shapes", (3, 30, 30), 3)
    assert space.budget.to_data() == {"flops": {"between": ["600k", "3M"]}, "params": {"max": "60k"}}
    assert space.search.wall_time == 300 and space.training.recipe == "auto"
    assert "90 images of 3 classes, 30 to 30 per class" in made.text
    networks = [space.architecture(RandomChoices(seed)) for seed in range(300)]
    admitted = sum(space.budget.admits(space.price(cost(network))) for network in networks)
    assert admitted > 10
    again = shapes.parent / "again.yaml"
    again.write_text(made.text)
    assert load_space(again) == space


def test_broken_files_are_left_out_and_counted(shapes: Path) -> None:
    (shapes / "round" / "0.png").write_bytes(b"")
    made = initial(shapes, flops=3_000_000, tell=silent)
    assert made.space.data.broken == "skip" and "1 files cannot be read" in made.text
    for path in shapes.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="no readable image"):
        initial(shapes, flops=3_000_000, tell=silent)


def test_a_bound_below_the_least_network_is_refused_with_what_is_allowed(shapes: Path) -> None:
    with pytest.raises(InputError, match=r"no residual network for images of 30x30 has 1,000 FLOPs.*\d FLOPs and"):
        initial(shapes, flops=1000, tell=silent)


def test_more_time_affords_more_flops() -> None:
    facts = ImageFacts(train=2000, shape=(3, 32, 32), mirrored=1.0)
    short, long = (affordable_flops(facts, 10, seconds, tell=silent) for seconds in (20.0, 40_000.0))
    assert short < long and FINAL_SHARE < 1
    assert within((3, 32, 32), 10, flops=long) is not None


def test_a_folder_or_a_file_with_what_a_person_says(shapes: Path, tmp_path: Path) -> None:
    made = space_for(shapes, ["search.trials=7"], time="2m", flops="3M", tell=silent)
    assert (made.search.trials, made.search.wall_time) == (7, 120)
    file = tmp_path / "own.yaml"
    file.write_text("archsearch: 1\nname: own\nspace: {stages: 2, depth: {int: [1, 3]}, width: 8}\n")
    own = space_for(file, time="2m", flops="900k", params="9k", tell=silent)
    assert own.search.wall_time == 120
    assert own.budget.to_data() == {"flops": {"max": "900k"}, "params": {"max": "9k"}}
    assert space_for(file, time="90", tell=silent).search.wall_time == 90  # whole seconds, as for a folder
    with pytest.raises(InputError, match=r"--flops: the count 'many'"):
        space_for(file, flops="many", tell=silent)


def test_init_writes_the_file_once_and_says_what_next(shapes: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(shapes.parent)
    assert main(["init", str(shapes), "--flops", "3M", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["file"], document["size"], document["sides"]) == ("my-shapes.yaml", 30, [30, 30, 30])
    assert load_space("my-shapes.yaml").name == "my-shapes"
    assert main(["init", str(shapes), "--flops", "3M"]) == 2
    assert "my-shapes.yaml already exists" in capsys.readouterr().err
    assert main(["init", str(shapes), "--flops", "3M", "-o", "other.yaml"]) == 0
    assert "archsearch run other.yaml" in capsys.readouterr().out


def test_check_looks_at_the_images_of_a_folder(shapes: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(shapes.parent)
    (shapes / "tri" / "4.png").write_bytes(b"GIF89a")
    assert main(["init", str(shapes), "--flops", "3M"]) == 0
    capsys.readouterr()
    assert main(["check", "my-shapes.yaml", "--samples", "200", "--no-probe", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [Path(file).name for file in document["folder"]["broken"]] == ["4.png"]
    counts = document["folder"]["images"]
    assert document["training_images"] == sum(counts["train"]) + sum(counts["validation"])
    assert document["epochs"] > 20  # fitted to the images
    assert main(["check", "my-shapes.yaml", "--samples", "200", "--no-probe"]) == 0
    page = capsys.readouterr().out
    assert "90 images, 3 classes, 30 to 30 per class" in page and "4.png" in page


def test_hints_of_init_are_what_init_accepts(tmp_path: Path, capsys) -> None:
    assert main(["init", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.endswith("hint: choose another folder of images\n")


def test_the_resolution_is_a_choice_where_images_are_large_and_time_is_long(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("archsearch.training.devices.gpus", lambda: [])
    affordable = "archsearch.api.initial.affordable_flops"
    monkeypatch.setattr(affordable, lambda facts, *_, **__: measured.append(facts.shape) or 20_000_000)
    measured: list[tuple[int, int, int]] = []
    for name in ("a", "b"):
        for seed in range(6):
            picture(tmp_path / "size: 64" / name / f"{seed}.png", seed, size=(150, 150))
    long = initial(tmp_path / "size: 64", time="1h", tell=silent)
    sizes = {(3, side, side) for side in (48, 64, 96)}
    assert long.space.inputs == sizes and measured == [(3, 96, 96)], "the time is that of the largest"
    assert "size: {choice: [48, 64, 96]}" in long.text and "the resolution is searched too" in long.text
    networks = [long.space.architecture(RandomChoices(seed)) for seed in range(200)]
    admitted = [each.input for each in networks if long.space.budget.admits(long.space.price(cost(each)))]
    assert set(admitted) == sizes, "each has networks within the budget"
    short = initial(tmp_path / "size: 64", time="30m", tell=silent)
    assert short.space.inputs == {(3, 64, 64)} and measured[-1] == (3, 64, 64)
    assert "`size: {choice: [48, 64, 96]}` searches the resolution too" in short.text


def test_a_time_in_whole_seconds(shapes: Path) -> None:
    assert initial(shapes, time="90", flops=3_000_000, tell=silent).space.search.wall_time == 90


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(16, 8)] * 40, (8, 16)),
        ([(8, 16)] * 40, (16, 8)),
        ([(18, 16)] * 40, (16, 16)),  # nearly square
        ([(16, 8)] * 34 + [(8, 8)] * 6, (8, 8)),  # of several shapes
        ([(16, 8)] * 38 + [(8, 8)] * 2, (8, 16)),
        ([(400, 200)] * 40, (44, 88)),  # larger than a CPU bears: a square's area
    ],
)
def test_images_of_one_shape_keep_it(sizes: list[tuple[int, int]], expected: tuple[int, int], tmp_path: Path) -> None:
    for number, size in enumerate(sizes):
        folder = tmp_path / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    made = initial(tmp_path / "images", flops=20_000_000, tell=lambda _: None)
    assert made.space.input == (3, *expected)
    assert ("networks see" in made.text) == (expected[0] != expected[1])


@pytest.mark.parametrize(("side", "highest"), [(8, 70_000_000), (16, 300_000_000)])
def test_however_long_the_time_the_bound_is_of_the_size_of_real_networks(side: int, highest: int) -> None:
    facts = ImageFacts(train=500, shape=(1, side, side), mirrored=1.0)
    assert affordable_flops(facts, 10, 1e9, tell=lambda _: None) == highest
    largest = within((1, side, side), 10, flops=10**12)
    assert largest is not None and highest / 2 < cost(largest).flops < 2 * highest
