"""Foretold epochs and hours: what the rungs let through, on the machine at hand."""

import os
from pathlib import Path

import pytest

from archsearch.architecture.spec import Architecture
from archsearch.reading.errors import InputError
from archsearch.search.deciding.rungs import Rungs
from archsearch.search.foretelling.forecast import (
    affordable_trials,
    at_once,
    forecast,
    next_stretch,
    setting,
    trial_epochs,
)
from archsearch.space.datasets import split_sizes
from archsearch.space.loading import load_space
from archsearch.space.search_settings import EarlyStopping, SearchSettings
from archsearch.space.settings import ResourceSettings
from archsearch.space.space import SearchSpace
from archsearch.training.devices import Gpu
from archsearch.training.measuring.line import LatencyModel
from archsearch.training.measuring.probe import Timings

DIGITS = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"
NETWORK = Architecture.from_dict({"archsearch": 1, "input": [1, 8, 8], "classes": 10, "stages": [{"depth": 1}]})


def search(trials: int, **stopping: object) -> SearchSettings:
    return SearchSettings(trials=trials, early_stopping=EarlyStopping.model_validate(stopping))


def test_without_rungs_every_trial_is_trained_to_the_end() -> None:
    assert trial_epochs(search(7, kind="none"), 9) == 63
    assert trial_epochs(search(7, grace_epochs=9), 9) == 63


def test_rungs_let_a_share_go_on() -> None:
    # 900 trials' first epoch; a third's to the third; a ninth's to the ninth: with all promoted in time that is
    # 900 + 300 * 2 + 100 * 6 = 2,100. Promotions before all are seen let a few more through.
    found = trial_epochs(search(900, grace_epochs=1, reduction=3), 9)
    assert 2100 <= found < 1.25 * 2100
    assert trial_epochs(search(1, grace_epochs=1, reduction=3), 9) == 9, "one trial at least is trained to the end"
    assert trial_epochs(search(4000, grace_epochs=1), 9) == 2 * trial_epochs(search(2000, grace_epochs=1), 9)


def test_a_free_lane_goes_on_with_a_promoted_trial_before_it_begins_another() -> None:
    rungs = Rungs(grace=1, reduction=3, epochs=9, brackets=1)
    assert next_stretch(rungs, 0, 4, epochs=9) == (1, 0, 1)
    for trial, score in ((1, 0.1), (2, 0.9), (3, 0.5)):
        rungs.record(trial, 1, score)
    assert next_stretch(rungs, 3, 4, epochs=9) == (2, 1, 3), "the best of three"
    assert next_stretch(rungs, 3, 4, epochs=9) == (4, 0, 1)
    assert next_stretch(rungs, 4, 4, epochs=9, running=True) is None, "whoever runs may be better"
    assert next_stretch(rungs, 4, 4, epochs=9) == (3, 1, 3), "nothing else is left to do"


def test_trials_that_are_scored_before_their_first_epoch_have_a_rung_more() -> None:
    # 900 scores without training; a third's first epoch; a ninth's to the third; a 27th's to the ninth.
    words = search(900, grace_epochs=1, reduction=3)
    found, ideal = trial_epochs(words, 9, 1.0), 300 + 100 * 2 + 33 * 6
    assert ideal <= found < 1.3 * ideal
    assert found < trial_epochs(words, 9, 0.5) < trial_epochs(words, 9)
    assert trial_epochs(search(7, kind="none"), 9, 1.0) == 63, "without rungs none is left out"
    rungs = Rungs(grace=1, reduction=3, epochs=9, brackets=1, scored_untrained=lambda trial: trial != 2)
    assert next_stretch(rungs, 0, 3, epochs=9) == (1, 0, 0)
    assert next_stretch(rungs, 1, 3, epochs=9) == (2, 0, 1)
    for trial, score in ((1, 0.1), (3, 0.5), (4, 0.2)):
        rungs.record(trial, 0, score)
    assert next_stretch(rungs, 4, 4, epochs=9) == (3, 0, 1)


def test_the_forecast_of_a_search_with_a_rung_of_no_epochs_counts_its_evaluations() -> None:
    flat = LatencyModel(names=("macs",), slopes=(0.0,), start=0.001, errors=(0.0,))
    timings = Timings(networks=(), train=flat, evaluate=flat, device="cpu", device_name="a", precision="float32",
                      threads=1, clock="wall", busy=False, seconds=0.0)  # fmt: skip
    given = space("resources={cpus_per_trial: 1, max_concurrent: 1}", "search.trials=90")
    sizes = {"train": 640, "validation": 192, "gpus": 0}
    fewer, usual = (forecast(given, timings, [NETWORK] * 3, **sizes, scored=share) for share in (1.0, 0.0))
    evaluations = 90 * 192 / (3 * 640 + 192)
    assert fewer.hours == pytest.approx((fewer.trial_epochs + evaluations) * fewer.epoch_seconds / 3600)
    assert fewer.hours < usual.hours


def test_trials_at_once_are_those_that_the_executor_would_place() -> None:
    cores = os.cpu_count() or 1
    assert at_once(ResourceSettings(cpus_per_trial=1), 1000, gpus=0) == cores
    assert at_once(ResourceSettings(cpus_per_trial=1024), 1000, gpus=0) == 1
    assert at_once(ResourceSettings(gpus_per_trial=1.0), 1000, gpus=1) == 1
    assert at_once(ResourceSettings(gpus_per_trial=0.5), 1000, gpus=0) == cores, "no GPU: trials run on the CPU"
    assert at_once(ResourceSettings(max_concurrent=1), 1000, gpus=0) == 1


def space(*sets: str) -> SearchSpace:
    return load_space(DIGITS, sets)


def test_an_epochs_images_are_those_that_the_splits_leave() -> None:
    assert split_sizes(space().data, 1438) == (1150, 288)
    assert split_sizes(space("data.validation=100").data, 1438) == (1338, 100)
    assert split_sizes(space("data.limit=50").data, 1438) == (50, 288)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_hours_are_epochs_times_seconds_over_the_trials_at_once(device: str) -> None:
    flat = LatencyModel(names=("macs",), slopes=(0.0,), start=0.001, errors=(0.0,))
    timings = Timings(networks=(), train=flat, evaluate=flat, device=device, device_name="a", precision="float32",
                      threads=1, clock="wall", busy=False, seconds=0.0)  # fmt: skip
    given = space("search.early_stopping.kind=none", "resources={cpus_per_trial: 1, gpus_per_trial: 0.5, "
                  "max_concurrent: 2}", "search.trials=40")  # fmt: skip
    found = forecast(given, timings, [NETWORK] * 3, train=640, validation=256, gpus=1)
    assert found.epoch_seconds == pytest.approx(0.64 + 0.256)
    assert found.trial_epochs == found.trial_epochs_at_most == 40 * 9
    assert found.hours == pytest.approx(360 * 0.896 / 3600 / found.at_once)
    assert found.hours_at_most == pytest.approx(found.hours)
    assert found.gpu_hours == (pytest.approx(360 * 0.896 * 0.5 / 3600) if device == "cuda" else None)
    fewer = forecast(space("search.early_stopping.kind=none", "search.trials=40", "search.epochs=90"), timings,
                     [NETWORK] * 3, train=640, validation=256, gpus=0)  # fmt: skip
    assert fewer.trial_epochs == fewer.trial_epochs_at_most == 90


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_wall_time_ends_the_hours_and_the_gpu_hours(device: str) -> None:
    flat = LatencyModel(names=("macs",), slopes=(0.0,), start=0.001, errors=(0.0,))
    timings = Timings(networks=(), train=flat, evaluate=flat, device=device, device_name="a", precision="float32",
                      threads=1, clock="wall", busy=False, seconds=0.0)  # fmt: skip
    limited = space("resources={cpus_per_trial: 1, gpus_per_trial: 0.5, max_concurrent: 2}", "search.trials=4000",
                    "search.wall_time=72s")  # fmt: skip
    foretold = forecast(limited, timings, [NETWORK] * 3, train=640, validation=256, gpus=1)
    assert (foretold.wall_hours, foretold.hours, foretold.hours_at_most) == (0.02, 0.02, 0.02)
    share = pytest.approx(0.02 * foretold.at_once * 0.5) if device == "cuda" else None
    assert (foretold.gpu_hours, foretold.gpu_hours_at_most) == (share, share)


@pytest.mark.parametrize(
    ("device", "share", "gpus", "settled"),
    [
        ("auto", 1.0, 2, "cuda"),
        ("auto", 1.0, 0, "cpu"),
        ("auto", 0.0, 2, "cpu"),
        ("cpu", 1.0, 2, "cpu"),
        ("auto", "auto", 2, "cuda"),
        ("auto", "auto", 0, "cpu"),
    ],
)
def test_a_trial_is_foretold_on_the_device_that_it_would_have(device, share, gpus, settled, monkeypatch) -> None:
    monkeypatch.setattr("archsearch.experiment.machine.has_gpu_driver", lambda: gpus > 0)
    monkeypatch.setattr(
        "archsearch.training.devices.gpus", lambda: [Gpu(name="A100", bytes=80 * 2**30, capability=(8, 0))] * gpus
    )
    here = setting(space(f"training.device={device}", f"resources.gpus_per_trial={share}"))
    assert (here.resources.device, here.gpus) == (settled, gpus)
    assert here.placement.text.startswith("trials train on GPUs, ") == (settled == "cuda")


def test_a_gpu_that_is_not_there_is_not_foretold() -> None:
    with pytest.raises(InputError, match=r"training\.device: cuda, but there is no GPU here"):
        setting(space("training.device=cuda"))


def test_a_search_that_is_given_epochs_is_foretold_within_them() -> None:
    unbounded = space("search.trials=100")
    epochs = trial_epochs(unbounded.search, 9)
    assert 100 < epochs < 900
    for limit in (50, 10_000):
        bounded = space("search.trials=100", f"search.epochs={limit}").search
        assert trial_epochs(bounded, 9) == min(epochs, limit)
        assert affordable_trials(bounded, 9) == (round(100 * limit / epochs) if limit < epochs else 100)
    assert affordable_trials(unbounded.search, 9) == 100
    assert affordable_trials(space("search.trials=100", "search.epochs=1").search, 9) == 1
