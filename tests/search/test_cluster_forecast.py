"""Hours of a search on a cluster that is not at hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from archsearch.architecture.quantities import Cost
from archsearch.cli import main
from archsearch.reading.errors import InputError
from archsearch.search.foretelling.cluster_forecast import forecast_on, rehearse
from archsearch.search.foretelling.data_sheets import DEVICES, EFFICIENCY, LAUNCH, Cluster, Step, epoch_seconds
from archsearch.search.foretelling.forecast import trial_epochs
from archsearch.space.loading import load_space
from archsearch.space.search_settings import EarlyStopping, SearchSettings
from archsearch.space.space import SearchSpace
from archsearch.training.measuring.line import LatencyModel
from archsearch.training.measuring.probe import Timings
from archsearch.zoo import get

SPACES = Path(__file__).parents[2] / "search_spaces"
H100 = DEVICES["h100"]


def space(*sets: str) -> SearchSpace:
    return load_space(SPACES / "digits.yaml", sets)


def search(trials: int, **stopping: object) -> SearchSettings:
    return SearchSettings(trials=trials, early_stopping=EarlyStopping.model_validate(stopping))


def test_a_cluster_is_devices_on_nodes() -> None:
    assert Cluster.of("8xH100") == Cluster(nodes=1, count=8, device=H100)
    assert Cluster.of("2x8xh100") == Cluster(nodes=2, count=16, device=H100)
    assert Cluster.of("16xcpu") == Cluster(nodes=1, count=16, device=None)
    assert [str(Cluster.of(text)) for text in ("2x8xa100-40gb", "4xCPU")] == ["2x8xA100-40GB", "4xcpu"]


@pytest.mark.parametrize("text", ["", "H100", "0xH100", "8xTPU", "x8xH100", "8x", "900000x900000xH100", "8xH100; rm"])
def test_what_is_no_cluster_is_refused_with_the_devices_that_are_known(text: str) -> None:
    with pytest.raises(InputError, match=r"H200, H100, .*V100, T4, cpu"):
        Cluster.of(text)


def test_a_step_takes_what_its_slowest_side_takes() -> None:
    # 1 GMAC, a million elements kept: 128 images are 768 GFLOP and 1.28 GB in bfloat16.
    step = Step.of(Cost(conv=10**9, saved=10**6, layers=10), H100, batch=128, precision="auto")
    assert step.compute == pytest.approx(6e9 * 128 / 989e12)
    assert step.memory == pytest.approx(5 * 2e6 * 128 / 3.35e12)
    assert step.bound == "compute"
    assert [step.seconds(slow=slow) for slow in (False, True)] == [
        pytest.approx(step.compute / EFFICIENCY[0]), pytest.approx(step.compute / EFFICIENCY[1]),
    ]  # fmt: skip
    deep = Step.of(Cost(conv=10**6, saved=10**3, layers=1000), H100, batch=128, precision="auto")
    assert (deep.bound, deep.seconds(slow=True)) == ("launches", pytest.approx(1000 * LAUNCH[1]))
    assert step.seconds(slow=False, forward=True) == pytest.approx(step.compute / 3 / EFFICIENCY[0])
    assert deep.seconds(slow=True, forward=True) == pytest.approx(1000 * LAUNCH[1] / 3)
    wide = Step.of(Cost(conv=10**6, saved=10**8, layers=1), H100, batch=128, precision="float32", sharing=2)
    assert wide.bound == "memory"
    assert wide.memory == pytest.approx(2 * 5 * 4e8 * 128 / 3.35e12)
    assert wide.seconds(slow=False, forward=True) == pytest.approx(wide.memory * 2 / 5 / EFFICIENCY[0])


def test_an_epoch_is_whole_batches_and_a_validation_in_batches_four_times_as_large() -> None:
    cost = Cost(conv=10**6, saved=10**3, layers=100)  # bound by its launches, whatever the batch
    words = {"batch": 128, "precision": "auto", "sharing": 1, "slow": False}
    seconds = epoch_seconds(cost, H100, train=300, validation=600, **words)
    assert seconds == pytest.approx(2 * 100 * LAUNCH[0] + 2 * 100 * LAUNCH[0] / 3), "two steps, 512 and 88 images"
    few = epoch_seconds(cost, H100, train=30, validation=1, **words)
    assert few == pytest.approx(100 * LAUNCH[0] + 100 * LAUNCH[0] / 3), "one step of all 30"


def test_an_old_gpu_is_slower_and_has_no_bfloat16() -> None:
    found = {
        name: epoch_seconds(Cost(conv=4 * 10**9, saved=2 * 10**7, layers=54), DEVICES[name], train=50_000,
                            validation=5_000, batch=128, precision="auto", sharing=1, slow=False)
        for name in ("h200", "h100", "a100", "v100", "t4")
    }  # fmt: skip
    assert sorted(found, key=lambda name: found[name]) == list(found)
    assert DEVICES["v100"].bytes_of("auto") == 4


def test_equal_trials_without_rungs_fill_the_lanes_round_by_round() -> None:
    taken, busy = rehearse(search(10, kind="none"), 5, np.ones(3), 4)
    assert taken == pytest.approx(3 * 5)  # 4 + 4 + 2 trials
    assert busy == pytest.approx(10 * 5 / (15 * 4))
    assert rehearse(search(1, grace_epochs=1), 9, np.ones(1), 4) == (pytest.approx(9), pytest.approx(1 / 4))


def test_one_lane_trains_the_epochs_that_are_foretold_for_this_machine() -> None:
    words = search(300, grace_epochs=1, reduction=3)
    taken, busy = rehearse(words, 9, np.ones(5), 1)
    assert busy == pytest.approx(1)
    assert taken == pytest.approx(trial_epochs(words, 9), rel=0.05)
    dear, even = (rehearse(words, 9, np.array(own), 1, dearest_best=True)[0] for own in ((1.0, 4.0), (2.5, 2.5)))
    assert dear > 1.1 * even, "the promoted are the dear ones"


def test_a_long_search_goes_on_alike() -> None:
    few, many = (rehearse(search(n, grace_epochs=1), 9, np.ones(1), 8)[0] for n in (2_000, 20_000))
    assert many == pytest.approx(10 * few, rel=0.02)


def test_more_gpus_take_less_time_and_no_fewer_gpu_hours() -> None:
    given = space("search.trials=400", "training.epochs=27")
    networks = [get("resnet20_cifar"), get("resnet56_cifar"), get("wrn28_10_cifar")]
    one, eight = (
        forecast_on(Cluster.of(text), given, networks, None, train=50_000, validation=5_000)
        for text in ("1xA100", "8xA100")
    )
    assert (one.lanes, eight.lanes) == (1, 8)
    for side in (0, 1):
        assert one.hours[side] / 8 < eight.hours[side] < one.hours[side]
        assert eight.gpu_hours is not None
        assert eight.gpu_hours[side] == pytest.approx(8 * eight.hours[side])
    assert eight.hours[0] < eight.hours[1]
    assert eight.busy_share[0] < one.busy_share[1] <= 1


def test_a_files_share_of_a_gpu_its_wall_time_and_its_most_at_once_hold() -> None:
    networks = [get("resnet20_cifar"), get("resnet56_cifar")]

    def at(*sets: str):
        return forecast_on(Cluster.of("2x4xT4"), space(*sets), networks, None, train=50_000, validation=5_000)

    assert at("resources.gpus_per_trial=0.25", "search.trials=100").lanes == 32
    assert at("resources.gpus_per_trial=1", "search.trials=100").lanes == 8
    assert at("resources.max_concurrent=3").lanes == 3
    ended = at("search.wall_time=60s", "search.trials=1000")
    assert ended.ends_by_wall_time
    assert ended.hours == (pytest.approx(60 / 3600), pytest.approx(60 / 3600))
    few, many = at("search.epochs=1000", "search.trials=1000"), at("search.trials=1000")
    assert few.hours[1] < 0.7 * many.hours[1]


def test_cores_and_a_gpu_of_the_same_kind_are_foretold_from_the_probe() -> None:
    flat = LatencyModel(names=("macs",), slopes=(0.0,), start=0.001, errors=(0.0,))
    words = {"networks": (), "train": flat, "evaluate": flat, "threads": 1, "busy": False, "seconds": 0.0}
    cpu = Timings(**words, device="cpu", device_name="a core", precision="float32", clock="thread")
    gpu = Timings(**words, device="cuda", device_name="NVIDIA H100 80GB HBM3", precision="bfloat16", clock="wall")
    given, networks = space("resources.cpus_per_trial=2"), [get("resnet20_cifar")] * 2
    many = forecast_on(Cluster.of("2x5xcpu"), given, networks, cpu, train=640, validation=256)
    assert (many.lanes, many.gpu_hours, many.bound) == (4, None, None), "a trial has its cores on one node"
    assert many.cores == 8
    probed = replace(cpu, precision="bfloat16")
    assert [forecast_on(Cluster.of("2x5xcpu"), given, networks, timings, train=640, validation=256).precision
            for timings in (cpu, probed)] == ["float32", "bfloat16"], "as it was probed"  # fmt: skip
    assert many.core_hours is not None
    two_rounds = space("resources.cpus_per_trial=2", "search.trials=8", "search.early_stopping.kind=none")
    idle = forecast_on(Cluster.of("2x5xcpu"), two_rounds, networks, cpu, train=640, validation=256)
    low, high = (2 * 9 * 0.896 * factor for factor in (0.7, 1.5))
    assert idle.hours == (pytest.approx((low + 30) / 3600), pytest.approx((high + 120) / 3600))
    assert sorted(idle.busy_share) == [pytest.approx(high / (high + 120)), pytest.approx(low / (low + 30))]
    measured = forecast_on(Cluster.of("8xH100"), given, networks, gpu, train=640, validation=256)
    presumed = forecast_on(Cluster.of("8xA100"), given, networks, gpu, train=640, validation=256)
    assert (measured.bound, measured.precision) == (None, "bfloat16")
    assert measured.epoch_seconds == (pytest.approx(0.9 * 0.896), pytest.approx(1.2 * 0.896))
    assert presumed.bound is not None
    assert presumed.precision == "bfloat16"
    old = forecast_on(Cluster.of("8xV100"), given, networks, gpu, train=640, validation=256)
    exact = forecast_on(
        Cluster.of("8xA100"), space("training.precision=float32"), networks, None, train=640, validation=256
    )
    assert (old.precision, exact.precision) == ("float32", "float32")
    with pytest.raises(ValueError, match="needs a probe"):
        forecast_on(Cluster.of("4xcpu"), given, networks, None, train=640, validation=256)


def test_check_says_what_a_cluster_takes_and_refuses_what_it_does_not_know(capsys) -> None:
    file, words = str(SPACES / "resnet_cifar.yaml"), ["--samples", "100", "--no-probe"]
    assert main(["check", file, *words, "--cluster", "2x8xH100", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["cluster"]
    assert (said["cluster"], said["devices"], said["estimate"]) == ("2x8xH100", 16, True)
    assert 0 < said["hours"]["low"] < said["hours"]["high"]
    assert said["gpu_hours"]["high"] == pytest.approx(16 * said["hours"]["high"])
    assert main(["check", file, *words, "--cluster", "8xA100"]) == 0
    page = capsys.readouterr().out
    assert "8xA100, estimated: " in page
    assert max(map(len, page.splitlines())) <= 100
    assert main(["check", file, *words, "--cluster", "8xB9000"]) == 2
    said = capsys.readouterr().err
    assert "8xB9000" in said
    assert "H100-PCIe" in said
