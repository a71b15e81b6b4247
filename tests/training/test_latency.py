"""Latency: how it is timed, when it is steady, and the book that keeps it."""

import json
import time

import numpy as np
import pytest
import torch

import archsearch
from archsearch import Architecture
from archsearch.architecture.spec import Stage, Stem
from archsearch.reading.errors import InputError
from archsearch.training.measuring import timing
from archsearch.training.measuring.latency import (
    MOST_RUNS,
    ROUND_SECONDS,
    Latency,
    measure,
    timed,
    unsettled,
)
from archsearch.training.measuring.timing import Clock, GpuRuns
from tests.training.capturing import Recorded

TINY = Architecture(input=(1, 8, 8), stem=Stem(width=4), stages=(Stage(depth=1, width=4),))
QUICK = {"seconds": 0.05, "warmup": 1, "repeats": 3}


def test_a_measurement_says_what_it_is_of() -> None:
    before = torch.get_num_threads()
    found = measure(TINY, device="cpu", batch=2, threads=1, **QUICK)
    low, high = found.iqr_ms
    assert 0 < low <= high
    assert 0 < found.median_ms < 1000
    assert (found.batch, found.device, found.dtype, found.threads, found.warmup) == (2, "cpu", "float32", 1, 1)
    assert found.repeats >= 3
    assert found.device_name
    assert found.clock == "thread"
    assert measure(TINY, device="cpu", threads=2, **QUICK).clock == "wall"
    assert torch.get_num_threads() == before
    assert Latency.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert f"{found.median_ms:.3g} ms" in str(found)
    assert "batch 2" in str(found)


def test_bfloat16_is_measured_as_such() -> None:
    assert measure(TINY, device="cpu", threads=1, precision="bfloat16", **QUICK).dtype == "bfloat16"


@pytest.mark.parametrize("words", [{"batch": 0}, {"repeats": 0}, {"threads": 0}, {"warmup": -1}])
def test_counts_below_one_are_refused(words) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        measure(TINY, device="cpu", **words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_bad_input() -> None:
    with pytest.raises(InputError):
        measure(TINY, device="cuda")


def test_runs_are_counted_and_a_slow_network_is_not_run_for_ever() -> None:
    calls: list[float] = []

    def run() -> None:
        calls.append(time.perf_counter())
        time.sleep(0.05)

    rounds, steady = timed(run, warmup=2, repeats=1000, seconds=0.1)
    assert not steady
    assert 3 <= sum(map(len, rounds)) == len(calls) - 3  # less the warm-up's, and the one that sets a round's length
    assert all((each >= 0.05).all() for each in rounds)


def test_runs_are_timed_by_the_clock_that_is_given() -> None:
    shown = 0.0

    def run() -> None:
        nonlocal shown
        shown += 0.25  # what this clock counts, however long the run took by any other

    rounds, steady = timed(run, warmup=0, repeats=3, seconds=0.05, clock=lambda: shown)
    assert steady
    assert {float(second) for each in rounds for second in each} == {0.25}


@pytest.mark.parametrize(
    ("repeats", "seconds", "runs", "steady"),
    [
        (3, 60.0, 10, True),
        (12, 60.0, 12, True),
        (100, 0.0, 3, False),
        (1, 0.0, 3, False),
    ],
    ids=["rounds enough", "repeats enough", "time is up", "time is up, and one run would be enough"],
)
def test_there_are_as_many_runs_as_a_steady_median_takes_and_three_at_least(repeats, seconds, runs, steady) -> None:
    shown = 0.0

    def run() -> None:
        nonlocal shown
        shown += 1.0  # a round's length many times over: one run a round

    rounds, settled = timed(run, warmup=2, repeats=repeats, seconds=seconds, clock=lambda: shown)
    assert (list(map(len, rounds)), settled) == ([1] * runs, steady)
    assert shown == 2 + 1 + runs, "the warm-up, the run that sets a round's length, the timed ones"


def test_quick_runs_are_taken_in_rounds_and_not_for_ever() -> None:
    shown, durations = 0.0, np.random.default_rng(0).lognormal(0, 3, 20_000) * ROUND_SECONDS / 2

    def run() -> None:
        nonlocal shown
        shown += durations[len(calls)]
        calls.append(shown)

    calls: list[float] = []
    durations[0] = ROUND_SECONDS / 400
    rounds, steady = timed(run, warmup=0, repeats=10**6, seconds=60.0, clock=lambda: shown)
    assert {len(part) for part in rounds} == {400}
    assert (sum(map(len, rounds)), steady) == (MOST_RUNS, False)


def test_one_thread_of_a_cpu_is_timed_by_its_own_clock() -> None:
    clocks = [Clock(torch.device("cpu"), 1), Clock(torch.device("cpu"), 2), Clock(torch.device("cuda"), 1)]
    assert [clock.kind for clock in clocks] == ["thread", "wall", "wall"]
    own, wall = clocks[0](), clocks[1]()
    time.sleep(0.05)
    assert clocks[0]() - own < 0.04 < clocks[1]() - wall


def test_rounds_that_agree_are_steady_and_a_few_disturbed_ones_do_not_move_the_median() -> None:
    rng = np.random.default_rng(1)
    calm = [rng.normal(1.0, 0.02, 20) for _ in range(15)]
    disturbed = [each * (3 if number % 5 == 0 else 1) for number, each in enumerate(calm)]
    wild = [rng.lognormal(0, 1, 1) for _ in range(15)]
    assert unsettled(calm) < 0.01
    assert unsettled(disturbed) < 0.02
    assert unsettled(wild) > 0.05
    medians = [float(np.median([np.median(each) for each in rounds])) for rounds in (calm, disturbed)]
    assert medians[1] == pytest.approx(medians[0], rel=0.02)


def test_a_wide_spread_is_told() -> None:
    words = measure(TINY, device="cpu", threads=1, **QUICK).to_dict()
    calm = Latency.from_dict({**words, "median_ms": 1.0, "iqr_ms": [0.95, 1.05], "steady": True})
    assert not calm.noisy
    assert "busy" not in str(calm)
    for other in ({"iqr_ms": [0.8, 1.2]}, {"steady": False}):
        noisy = Latency.from_dict({**calm.to_dict(), **other})
        assert noisy.noisy
        assert "busy" in str(noisy)


class Event:
    """Stands for a CUDA event: the time of a clock that each run moves by 2 ms."""

    now = 0.0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.time = Event.now

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: "Event") -> float:
        return end.time - self.time


@pytest.mark.parametrize("kind", ["graph", "events"])
def test_a_gpu_is_timed_by_its_own_clock_and_by_replays_where_it_can_be_captured(kind, monkeypatch) -> None:
    def capture(run, device):
        if kind == "events":
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        return lambda: ran("replay")

    def ran(how: str) -> None:
        taken.append(how)
        Event.now += 2.0

    taken: list[str] = []
    monkeypatch.setattr(timing, "captured", capture)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    gpu = GpuRuns(lambda: ran("eager"), torch.device("cpu"))
    rounds, _ = timed(gpu, warmup=1, repeats=3, seconds=0.05, clock=gpu.clock)
    assert gpu.kind == kind and set(taken[1:]) == {"replay" if kind == "graph" else "eager"}
    assert np.allclose(np.concatenate(rounds), 0.002)
    assert len(taken) == 1 + GpuRuns.TIMES * (1 + 1 + sum(map(len, rounds)))


@pytest.mark.parametrize("name", ["resnet8_cifar", "densenet40_12_cifar"])
def test_a_forward_pass_reads_nothing_of_the_host(name: str) -> None:
    network = archsearch.build(name).eval()
    with Recorded() as mode, torch.inference_mode():
        network(torch.zeros(1, 3, 32, 32))
    assert mode.reads == [] and mode.kernels > 10
