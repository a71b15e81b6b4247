"""Random samples of spaces: what is drawn, where it lies, and `archsearch compare` of two files."""

import json
import signal
from pathlib import Path

import pytest

from archsearch.api.comparing import compare
from archsearch.api.driving import Audience
from archsearch.reading.errors import InputError
from archsearch.search.confirming.random_sample import experiment_of, sample_of, short_epochs
from archsearch.space.loading import load_space
from tests.search.test_main_job import finish, reached, start

SPACE = """
archsearch: 1
name: NAME
data: {name: digits, limit: 400}
space: {stem: {width: 8}, stages: 1, depth: {int: [1, 6]}, width: WIDTH, block: basic}
budget: {flops: {max: 4M}}
search: {sampler: tpe, wall_time: 5m}
training: {epochs: 9, precision: float32}
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    for name, width in (("narrow", "8"), ("wide", "{choice: [16, 24]}")):
        Path(f"{name}.yaml").write_text(SPACE.replace("NAME", name).replace("WIDTH", width))
    return [Path("narrow.yaml"), Path("wide.yaml")]


def test_a_sample_only_draws_and_trains_all_alike(files: list[Path]) -> None:
    sample = sample_of(files[0], trials=7, epochs=3, seed=4)
    assert (sample.search.sampler, sample.search.early_stopping.kind) == ("random", "none")
    assert (sample.search.trials, sample.search.seed, sample.search.wall_time) == (7, 4, None)
    assert (sample.training.epochs, sample.budget) == (3, load_space(files[0]).budget)
    assert short_epochs(*map(load_space, files)) == 3


def test_the_same_sample_is_found_again_and_another_lies_beside_it(files: list[Path]) -> None:
    sample = sample_of(files[0], trials=7, epochs=3, seed=0)
    first = experiment_of(sample)
    assert first.path == Path("experiments/narrow-sample")
    assert experiment_of(sample) == first
    first.space_yaml.write_text("# a comment\n" + first.space_yaml.read_text())
    assert experiment_of(sample) == first
    other = experiment_of(sample_of(files[0], trials=8, epochs=3, seed=0))
    assert other.path == Path("experiments/narrow-sample-2")
    assert experiment_of(sample_of(files[0], trials=8, epochs=3, seed=0)) == other


def test_a_space_whose_networks_begin_with_trained_weights_is_not_sampled(files: list[Path]) -> None:
    files[1].write_text("archsearch: 1\nname: sliced\ndata: {name: digits}\nstart: {weights: [trained]}\n")
    with pytest.raises(InputError, match=r"wide\.yaml:4:8: start in a space that is sampled"):
        compare([str(file) for file in files], Audience(), trials=2, go_on="")


def test_what_cannot_be_compared_is_refused_before_anything_is_trained(files: list[Path]) -> None:
    files[1].write_text(files[1].read_text().replace("basic", "basik"))
    code, _, said = finish(start(Path(), "compare", *map(str, files)))
    assert (code, "basik" in said) == (2, True)
    assert finish(start(Path(), "compare", "narrow.yaml", "nowhere"))[0] == 2
    assert finish(start(Path(), "compare", "narrow.yaml", "nowhere.yaml"))[0] == 2
    assert not Path("experiments").exists()
    with pytest.raises(InputError):
        sample_of(files[1], trials=7, epochs=3, seed=0)


@pytest.mark.slow
def test_two_spaces_are_drawn_from_trained_and_compared_though_interrupted(files: list[Path]) -> None:
    words = ["compare", *map(str, files), "--trials", "6", "--epochs", "1", "-o", "page.html", "--json"]
    first = start(Path(), *words)
    while not reached(Path("experiments/narrow-sample")):
        assert first.poll() is None, first.communicate()
    first.send_signal(signal.SIGINT)
    code, out, said = finish(first)
    assert (code, out) == (3, "")
    assert "archsearch compare narrow.yaml wide.yaml --trials 6 --seed 0 --epochs 1 -o page.html" in said
    code, out, said = finish(start(Path(), *words))
    assert code == 0, said
    found = json.loads(out)
    assert [found[side]["drawn_at_random"] for side in "ab"] == [True, True]
    assert [len(found[side]["scores"]) for side in "ab"] == [6, 6]
    assert found["epochs"] == 1
    assert "two spaces" in Path("page.html").read_text()
    assert "what the curves tell is the spaces'" in Path("page.html").read_text()
    code, out, said = finish(start(Path(), *words))  # nothing is trained a second time
    assert (code, json.loads(out)) == (0, found)
    assert said.count("is there already, drawn and trained") == 2
