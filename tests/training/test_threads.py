"""How many threads a training has: what they must be worth, what is kept, what goes on as it began."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from archsearch.data.datasets import load_images
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training import fit
from archsearch.training.fit import train_architecture
from archsearch.training.measuring import threads
from archsearch.training.measuring.precision import Way, measured_in_turns
from archsearch.training.measuring.threads import choose_execution, completed
from archsearch.training.measuring.timing import torch_threads
from archsearch.training.run import TrainingRun
from tests.training.test_precision import SETTINGS, net

FLOAT32 = SETTINGS.model_copy(update={"precision": "float32"})
NETWORK = net(1, 8, 8)


@pytest.mark.parametrize(
    ("seconds", "count", "precision"),
    [
        ({1: 8.0, 2: 7.2}, 1, "float32"),  # a tenth is not worth another core
        ({1: 8.0, 2: 5.0, 4: 4.5}, 2, "bfloat16"),
        ({1: 8.0, 2: 5.0, 4: 3.0, 6: 2.0}, 6, "bfloat16"),
    ],
)
def test_threads_are_doubled_as_long_as_they_are_worth_their_cores(
    seconds: dict[int, float], count: int, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faster precision may be another one with several threads."""
    measured: list[list[Way]] = []

    def in_turns(network, settings, batch, ways, **_):
        measured.append(list(ways))
        return {way: seconds[way.threads] - (way.precision == "bfloat16" and way.threads > 1) * 0.1 for way in ways}

    monkeypatch.setattr(threads, "measured_in_turns", in_turns)
    monkeypatch.setattr("archsearch.training.measuring.precision.measured_in_turns", in_turns)
    file = tmp_path / "precision.json"
    first = choose_execution(NETWORK, SETTINGS, most=6, cache=file)
    assert (first.threads, first.precision) == (count, precision)
    assert first.text.startswith(f"{count} thread{'s' if count > 1 else ''} per training: 2 are 1.")
    assert all(way.threads <= 6 for ways in measured for way in ways)
    done = len(measured)
    assert choose_execution(NETWORK, SETTINGS, most=6, cache=file) == first and len(measured) == done, "it is kept"
    choose_execution(NETWORK, FLOAT32, most=2, cache=file)
    assert {way.precision for way in measured[-1]} == {"float32"}, "a precision that the settings fix"


def test_where_as_many_trainings_as_cores_run_nothing_but_the_precision_is_measured(tmp_path: Path) -> None:
    alone = choose_execution(NETWORK, FLOAT32, most=1, cache=tmp_path / "p.json")
    assert (alone.threads, alone.precision) == (1, "float32") and not (tmp_path / "p.json").exists()
    assert alone.text == "1 thread per training: as many trainings as cores run at once"


def test_real_steps_are_timed_in_turns_and_torch_s_threads_are_put_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    ways = [Way(threads=1, precision="float32"), Way(threads=2, precision="bfloat16")]
    with torch_threads(before):
        timed = measured_in_turns(NETWORK, SETTINGS, 16, ways, wall=True, seconds=0.0)
    assert set(timed) == set(ways) and min(timed.values()) > 0
    chosen = choose_execution(NETWORK, SETTINGS, most=2, cache=tmp_path / "p.json")
    assert torch.get_num_threads() == before and chosen.threads in (1, 2)
    (kept,) = [value for key, value in json.loads((tmp_path / "p.json").read_text()).items() if "1 to 2" in key]
    assert kept == chosen.to_dict()


def test_what_the_user_sets_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    run = TrainingRun(settings=FLOAT32, seed=0)
    monkeypatch.setattr(threads, "choose_execution", lambda *_, most: pytest.fail(f"measured up to {most}"))
    assert completed(NETWORK, replace(run, threads=3))[0].threads == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert completed(NETWORK, run)[0] == run
    with pytest.raises(pytest.fail.Exception, match="up to 4"):
        completed(NETWORK, run, most=4)


def test_a_training_goes_on_with_the_threads_and_the_precision_with_which_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(epochs=2, batch_size=512, device="cpu")
    images, run = load_images(DataSettings()), TrainingRun(settings=settings, seed=1)
    before = torch.get_num_threads()
    chosen: list[dict] = [{"threads": before + 1, "precision": "bfloat16"}]
    monkeypatch.setattr(fit, "completed", lambda network, run, most: (replace(run, **chosen.pop()), ""))

    def interrupt(metrics):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_architecture(NETWORK, images, run, tmp_path, on_epoch=interrupt, checkpoint_seconds=0)
    assert torch.get_num_threads() == before
    result = train_architecture(NETWORK, images, run, tmp_path)
    assert (result["threads"], result["precision"]) == (before + 1, "bfloat16")
