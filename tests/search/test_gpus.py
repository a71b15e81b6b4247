"""What lanes do with GPUs: their device, GPUs that cannot be used, GPUs that fall off. No GPU, and no Ray."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from archsearch.data.datasets import load_images
from archsearch.experiment import Failure, Ledger, TrialState
from archsearch.experiment.processes import GPU_ALLOCATOR
from archsearch.search.deciding.failures import LEFT_OUT
from archsearch.search.deciding.messages import (
    Choose,
    EpochTrained,
    HandOver,
    PrecisionMeasured,
    Ready,
    Report,
    Train,
    Wait,
    Weights,
)
from archsearch.search.deciding.search import Search
from archsearch.search.running import executor, prestart, readiness
from archsearch.search.running.allotment import settle
from archsearch.search.running.conductor import Conductor
from archsearch.search.running.environment import RayFailed
from archsearch.search.running.executor import Lane
from archsearch.search.running.lanes import Lanes
from archsearch.search.running.nodes import Node
from archsearch.search.running.sites import DEADLY, Site, Sites
from archsearch.search.running.worker import load_trainer
from archsearch.space.many.packing import CONTEXT
from archsearch.space.placement import PLACED
from archsearch.space.settings import ResourceSettings
from archsearch.training import devices
from archsearch.training.devices import Gpu
from archsearch.training.diagnosis import failure_of
from tests.search.local import tiny
from tests.search.test_places import Given

A100 = Gpu(name="A100", bytes=80 * 2**30, capability=(8, 0))
NAMED = "A100 80 GiB (compute capability 8.0); "

# ---- the device of a lane


def lane_of(space, device: str) -> Lane:
    lane = object.__new__(Lane)
    lane.setup({}, load_images(space.data), space, threads=1, device=device, seconds=0.0, lanes=1, parents=())
    return lane


def test_a_lane_without_a_share_trains_on_the_cpu_though_torch_sees_a_gpu(tmp_path, monkeypatch) -> None:
    space, _ = tiny(tmp_path, "resources.gpus_per_trial=0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert space.training.device == "auto"
    assert lane_of(space, space.resources.device)._worker._settings.device == "cpu"


def test_workers_that_warm_up_live_on_until_lanes_begin_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without max_calls=0 Ray ends the process of a task that has a share of a GPU."""
    options: list[dict[str, Any]] = []

    class Task:
        def __call__(self, function: Any) -> "Task":
            return self

        def remote(self) -> None:
            pass

    monkeypatch.setattr(prestart.ray, "remote", lambda **given: options.append(given) or Task())
    prestart.warm_up(ResourceSettings(cpus_per_trial=2, gpus_per_trial=0.25), lanes=3)
    assert options == [{"num_cpus": 2, "num_gpus": 0.25, "max_retries": 0, "max_calls": 0}]


# ---- what a GPU says


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", "RuntimeError"),  # torch has an exception of its own for it
        ("CUDA error: out of memory", "oom"),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "oom"),
        ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", "oom"),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "oom"),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR", "oom"),
        ("GET was unable to find an engine to execute this computation", "oom"),
        ("FIND was unable to find an engine to execute this computation", "oom"),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes", "oom"),
        ("std::bad_alloc", "oom"),
        ("could not create a primitive", "oom"),
        ("CUDA error: an illegal memory access was encountered", "RuntimeError"),
        ("CUDA error: device-side assert triggered", "RuntimeError"),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`", "RuntimeError"),
        ("cuDNN error: CUDNN_STATUS_BAD_PARAM", "RuntimeError"),
        ("Expected all tensors to be on the same device", "RuntimeError"),
    ],
)
def test_the_words_of_running_out_of_memory(text: str, kind: str) -> None:
    try:
        raise RuntimeError(text)
    except RuntimeError as error:
        assert failure_of(error).kind == kind
    try:
        raise torch.cuda.OutOfMemoryError(text)
    except RuntimeError as error:
        assert failure_of(error).kind == "oom"


# ---- what is left out


class Hole:
    """A search with stub lanes: at each site of `deadly` a lane dies at its first trial, and others train an epoch."""

    def __init__(
        self, folder: Path, sites: list[Site], deadly: set[str], poison: set[int] = frozenset(), *overrides: str
    ) -> None:
        overrides = ("search.trials=6", "search.early_stopping={kind: none}", "training.epochs=1", *overrides)
        space, experiment = tiny(folder, *overrides)
        self.ledger = Ledger.open(experiment.ledger)
        self.told: list[str] = []
        observer = Told(self.told)
        search = Search(space=space, folder=experiment, ledger=self.ledger, observer=observer, test=False)
        self.conductor = Conductor(search=search, workers_are_up=lambda: None)
        self.sites, self.deadly, self.poison, self.lanes = sites, deadly, poison, 0

    def run(self, rounds: int = 40) -> None:
        """In each round one lane of each site, new or from before, does one step."""
        lanes: dict[Site, tuple[str, list[Report]]] = {}
        for _ in range(rounds):
            for site in self.sites:
                if site not in lanes:
                    self.lanes += 1
                    lanes[site] = f"lane {self.lanes}", [Ready()]
                lane, reports = lanes[site]
                match self.conductor.follow(lane, reports, site):
                    case Train(number=number) if str(site) in self.deadly or number in self.poison:
                        del lanes[site]
                        self.conductor.lost(lane, preempted=False, site=Site(node=site.node, name=site.name))
                    case Train(number=number):
                        metrics = {"epoch": 1, "epochs": 1, "validation_accuracy": number / 10, "seconds": 0.1}
                        lanes[site] = lane, [EpochTrained(number=number, metrics=metrics)]
                    case HandOver(number=number):
                        lanes[site] = lane, [Weights(number=number, weights=b"")]
                    case _:
                        lanes[site] = lane, [Ready()]


@dataclass
class Told:
    phases: list[str]

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def trial(self, trial: object, metrics: object) -> None:
        pass


def gpu(node: str, number: int) -> Site:
    return Site(node=node, name=node, gpu=str(number))


@pytest.mark.parametrize(
    "sites",
    [[gpu("a", 0), gpu("a", 1)], [gpu("a", 0), gpu("b", 0)], [Site(node="a", name="a"), Site(node="b", name="b")]],
)
def test_a_gpu_at_which_trials_are_lost_is_left_out_and_they_lose_no_attempt(tmp_path: Path, sites) -> None:
    hole = Hole(tmp_path, sites, deadly={str(sites[0])})
    hole.run()
    trials = hole.ledger.trials()
    assert [trial.state for trial in trials] == [TrialState.FINISHED] * 6
    assert hole.told.count(f"{sites[0]} gets no more trials: {DEADLY}") == 1
    (note,) = hole.ledger.events_of(LEFT_OUT)
    requeued = hole.ledger.events_of("requeued")
    assert [Failure.parse(event.data["reason"]).kind for event in requeued] == ["crashed", "preempted"]
    assert note.data["trials"] == [requeued[0].trial]
    assert hole.conductor.sites._lost[sites[0]]


def test_a_trial_that_ends_its_worker_everywhere_fails_and_no_gpu_is_left_out(tmp_path: Path) -> None:
    sites = [gpu("a", number) for number in range(3)]
    hole = Hole(tmp_path, sites, deadly=set(), poison={2})
    hole.run()
    states = {trial.number: trial.state for trial in hole.ledger.trials()}
    assert states.pop(2) is TrialState.FAILED and set(states.values()) == {TrialState.FINISHED}
    assert hole.conductor.sites.left_out == {}


def test_a_trial_that_was_lost_at_two_sites_is_at_fault_at_every_other() -> None:
    sites, (first, second, third) = Sites(), (gpu("a", 0), gpu("a", 1), gpu("b", 0))
    for number, site in enumerate((first, second, third, third)):
        sites.runs(f"lane {number}", site)
    assert sites.lost("lane 0", 7, first) is None and sites.lost("lane 1", 7, second) is None
    assert sites.lost("lane 2", 7, third) is None and sites.lost("lane 3", 7, third) is None
    assert sites.left_out == {}
    for number, site in enumerate((first, second, first)):
        sites.runs(f"lane {number}", site)
    assert sites.lost("lane 0", 8, first) is None
    assert sites.lost("lane 2", 9, first) == (first, [8])
    sites.runs("lane 3", first)
    assert sites.idles("lane 3") and sites.lost("lane 1", 9, second) is None
    assert not sites.idles("lane 3"), "it was the trial: one loss is left there"


def test_the_only_gpu_is_not_left_out_and_its_trials_have_their_attempts(tmp_path: Path) -> None:
    hole = Hole(tmp_path, [gpu("a", 0)], deadly={"node a, GPU 0"})
    hole.run()
    assert hole.ledger.counts().failed == 5 and hole.conductor.search.gave_up.startswith("the first 5 trials failed")
    assert hole.conductor.sites.left_out == {}


def test_attempts_that_a_gpu_cost_are_not_counted(tmp_path: Path) -> None:
    hole = Hole(tmp_path, [gpu("a", 0)], deadly=set())
    search, crashed = hole.conductor.search, Failure("crashed", "its worker died")
    order = hole.conductor.follow("lane", [Ready()])
    assert isinstance(order, Train)
    for _ in range(2):
        search.lost(order, crashed)
        order = search.respond(Ready())
        assert isinstance(order, Train) and order.number == 1
    hole.ledger.note(LEFT_OUT, {"site": "node a", "reason": DEADLY, "trials": [1]})
    search.lost(order, crashed)
    assert hole.ledger.trial(1).state is TrialState.WAITING, "the third loss is the second that counts"
    search.respond(Ready())
    search.lost(order, crashed)
    assert hole.ledger.trial(1).state is TrialState.FAILED


def test_a_lane_whose_gpu_cannot_be_used_holds_it_and_trains_nothing(tmp_path: Path, monkeypatch) -> None:
    hole = Hole(tmp_path, [], deadly=set())
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: [3])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", lambda: (_ for _ in ()).throw(RuntimeError("No NVIDIA driver")))
    lane = lane_of(hole.conductor.search.space, "cuda")
    result, expected = lane.step(), f"torch {torch.__version__} cannot use the GPU: No NVIDIA driver"
    assert (result["gpu"], result["problem"]) == ("3", expected)
    pool = Given([Node(id="a", name="a", cpus=4, gpus=1)], grows=False)
    lanes = Lanes(hole.conductor, pool, ResourceSettings(gpus_per_trial=0.5), trials=10)
    assert lanes.suggest("1") == lanes.suggest("2") == {"node": "a", "name": "a"}
    for name in ("1", "2"):
        site = gpu("a", 3)
        assert isinstance(hole.conductor.follow(name, result["reports"].reports, site, result["problem"]), Wait)
    assert hole.told == [f"node a, GPU 3 gets no more trials: {expected}"] and not hole.ledger.trials()
    with pytest.raises(RayFailed, match=rf"no trial can be trained: node a, GPU 3: {re.escape(expected)}"):
        lanes.suggest("3")


def test_one_gpu_without_bfloat16_settles_the_precision_of_all(tmp_path: Path) -> None:
    hole = Hole(tmp_path, [], set(), set(), "training.precision=auto")
    assert isinstance(hole.conductor.follow("a", [Ready()], gpu("a", 0)), Choose)
    order = hole.conductor.follow("b", [Ready()], gpu("b", 0), bfloat16=False)
    assert isinstance(order, Train) and order.precision == "float32"
    assert hole.told == ["training in float32: node b, GPU 0 has no bfloat16"]
    measured = PrecisionMeasured(result={"precision": "bfloat16", "text": "bfloat16: 2 times as fast"})
    order = hole.conductor.follow("a", [measured], gpu("a", 0))
    assert isinstance(order, Train) and order.precision == "float32", "what came first holds"


def test_a_gpu_without_bfloat16_that_comes_late_is_left_out_by_name(tmp_path: Path) -> None:
    hole = Hole(tmp_path, [], set(), set(), "training.precision=auto")
    hole.conductor.follow("a", [Ready()], gpu("a", 0))
    measured = PrecisionMeasured(result={"precision": "bfloat16", "text": "bfloat16: 2 times as fast"})
    assert isinstance(hole.conductor.follow("a", [measured], gpu("a", 0)), Train)
    assert isinstance(hole.conductor.follow("b", [Ready()], gpu("b", 0), bfloat16=False), Wait)
    assert hole.told[-1].startswith("node b, GPU 0 gets no more trials: it has no bfloat16, in which trials")
    (tmp_path / "fixed").mkdir()
    fixed = Hole(tmp_path / "fixed", [], set(), set(), "training.precision=bfloat16")
    assert isinstance(fixed.conductor.follow("b", [Ready()], gpu("b", 0), bfloat16=False), Train), "as the file says"


# ---- what nodes say


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stands for Ray: each node's answer by its id, an exception among them is raised."""
    by_node: dict[str, Any] = {}

    class Task:
        def __init__(self, node: str = "") -> None:
            self._node = node

        def options(self, scheduling_strategy: Any) -> "Task":
            return Task(scheduling_strategy.node_id[0])

        def remote(self, *arguments: Any) -> str:
            return self._node

    def get(node: str, timeout: float) -> Any:
        if isinstance(by_node[node], Exception):
            raise by_node[node]
        return by_node[node]

    monkeypatch.setattr(ray, "remote", lambda **options: lambda function: Task())
    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 64.0, "GPU": 8.0})
    return by_node


def node(name: str, gpus: float) -> Node:
    return Node(id=name * 56, name=name, cpus=16, gpus=gpus)  # as Ray has them: hexadecimal digits


def test_auto_is_settled_by_the_gpus_that_nodes_can_use_and_others_are_named(tmp_path: Path, answers) -> None:
    space, folder = tiny(tmp_path)
    nodes, told = [node("d", 0), node("a", 2), node("b", 1), node("c", 1)], list[str]()
    answers.update(a=([80 * 2**30] * 2, ""), b=([], "the driver is too old"), c=TimeoutError())
    with Ledger.open(folder.ledger) as ledger:
        resources = settle(space, 0, nodes, ledger, owned=False, tell=told.append)
        assert resources.gpus_per_trial == 0.125 and resources.device == "cuda"
        assert told[0].startswith("trials train on GPUs, 8 per GPU: ")
        assert told[1] == "node b: the driver is too old; node c: its GPUs could not be asked: TimeoutError"
        settle(space, 0, nodes, ledger, owned=False, tell=told.append)
        (note,) = ledger.events_of(PLACED)
        assert note.data == {"device": "cuda", "gpus_per_trial": 0.125, "text": told[0]}
        answers.update(a=([], "no driver"))
        assert settle(space, 0, nodes[:2], ledger, owned=True, tell=told.append).device == "cpu"
        assert told[-1] == "node a: no driver; trials train on the CPU"
        assert ledger.events_of(PLACED)[-1].data["gpus_per_trial"] == 0.0


def test_a_share_that_there_is_not_is_told_here_and_refused_of_a_cluster(tmp_path: Path, answers) -> None:
    space, folder = tiny(tmp_path, "resources.gpus_per_trial=0.5")
    told: list[str] = []
    with Ledger.open(folder.ledger) as ledger:
        assert settle(space, 0, [node("a", 0)], ledger, owned=True, tell=told.append).gpus_per_trial == 0
        assert told == ["no GPU for gpus_per_trial: 0.5; trials train on the CPU"]
        with pytest.raises(RayFailed, match=r"the cluster has no GPU for gpus_per_trial: 0\.5"):
            settle(space, 0, [node("a", 0)], ledger, owned=False, tell=told.append)
        assert settle(space, 0, [node("a", 1)], ledger, owned=False, tell=told.append).gpus_per_trial == 0.5


def test_a_machine_without_gpus_says_and_notes_nothing(tmp_path: Path, answers) -> None:
    space, folder = tiny(tmp_path)
    told: list[str] = []
    with Ledger.open(folder.ledger) as ledger:
        assert settle(space, 0, [node("a", 0)], ledger, owned=True, tell=told.append).device == "cpu"
        assert told == [] and not ledger.events_of(PLACED)


@pytest.mark.parametrize(
    ("gpus", "problem", "level", "start"),
    [
        ([A100], "", "ok", f"{NAMED}trials train on GPUs, as many on each as fit"),
        ([A100], "a V100 is too old", "warn", f"{NAMED}a V100 is too old; trials train on GPUs"),
        ([], "the driver is too old", "warn", "the driver is too old; trials train on the CPU"),
    ],
)
def test_doctor_names_gpus_and_what_they_require(monkeypatch, gpus, problem: str, level: str, start: str) -> None:
    monkeypatch.setattr("archsearch.experiment.machine.has_gpu_driver", lambda: True)
    monkeypatch.setattr("archsearch.training.devices.gpus", lambda: gpus)
    monkeypatch.setattr("archsearch.training.devices.gpus_problem", lambda: problem)
    finding = readiness._gpus()
    assert finding.level == level and finding.found.startswith(start)
    assert ("NVIDIA's driver 580 or newer and compute capability 7.5" in finding.advice) == (level == "warn")


# ---- the threads of a trial


def test_threads_are_measured_where_cores_are_left_over_and_are_those_of_later_sessions(tmp_path, answers) -> None:
    space, folder = tiny(tmp_path, "resources.max_concurrent=2", "training.precision=auto")
    told: list[str] = []
    answers["a"] = {"threads": 4, "precision": "bfloat16", "text": "4 threads per training: 4 are 1.5 times as fast"}
    with Ledger.open(folder.ledger) as ledger:
        assert settle(space, 0, [node("a", 0)], ledger, owned=True, tell=told.append).cpus_per_trial == 4
        assert told == [answers["a"]["text"]]
        (threads,), (precision,) = ledger.events_of("threads"), ledger.events_of("precision")
        assert threads.data == {"device": "cpu", "threads": 4, "text": told[0]}
        assert precision.data["precision"] == "bfloat16"
        answers["a"] = TimeoutError()
        assert settle(space, 0, [node("a", 0)], ledger, owned=True, tell=told.append).cpus_per_trial == 4
        assert len(ledger.events_of("threads")) == 1


def test_without_a_measurement_a_trial_has_one_thread(tmp_path: Path, answers) -> None:
    space, folder = tiny(tmp_path, "resources.max_concurrent=2", "training.precision=auto")
    answers["a"] = TimeoutError()
    with Ledger.open(folder.ledger) as ledger:
        assert settle(space, 0, [node("a", 0)], ledger, owned=True, tell=lambda _: None).cpus_per_trial == 1
        assert "could not be measured: TimeoutError" in ledger.events_of("threads")[-1].data["text"]
        assert not ledger.events_of("precision")


def test_a_gpu_s_trial_has_several_cores_where_it_reads_files_alone(tmp_path: Path, answers) -> None:
    space, _ = tiny(tmp_path, "resources.gpus_per_trial=0.5")
    for reads, threads in ((True, 4), (False, 1)):
        with Ledger.create(tmp_path / f"{reads}.sqlite", {"name": "x", "trials": 1}) as ledger:
            nodes = [node("a", 2), node("b", 0)]
            settled = settle(space, 0, nodes, ledger, owned=True, tell=lambda _: None, reads_files=reads)
            assert settled.cpus_per_trial == threads and settled.held(cpus=16, gpus=2) == 4


# ---- the memory of a lane


def test_a_lane_may_take_its_share_of_the_gpu_s_memory_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[float, int]] = []
    monkeypatch.setattr(devices, "visible_gpus", lambda: [A100])
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: limits.append(given))
    devices.limit_memory(1.0)
    assert limits == [], "a whole GPU has no limit"
    devices.limit_memory(0.25)
    assert limits == [(0.25 - CONTEXT / A100.bytes, 0)]


@pytest.mark.parametrize(("problem", "limits"), [(None, [0.5]), ("it fell off", [])])
def test_a_lane_limits_its_memory_where_it_can_use_its_gpu(tmp_path, monkeypatch, problem, limits) -> None:
    given: list[float] = []
    space, _ = tiny(tmp_path)
    monkeypatch.setattr(executor, "device_problem", lambda: (problem, True))
    monkeypatch.setattr(executor.ray, "get_gpu_ids", lambda: [3])
    monkeypatch.setattr(devices, "limit_memory", given.append)
    lane, images = object.__new__(Lane), load_images(space.data)
    lane.setup({}, images, space, threads=1, device="cuda", seconds=0.0, lanes=2, parents=(), share=0.5)
    assert given == limits
    lane.setup({}, images, space, threads=1, device="cpu", seconds=0.0, lanes=2, parents=(), share=0.0)
    assert given == limits


def test_segments_grow_where_the_user_has_not_settled_torch_s_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GPU_ALLOCATOR:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    load_trainer()
    assert os.environ["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"
    monkeypatch.delenv("PYTORCH_CUDA_ALLOC_CONF")
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "max_split_size_mb:64")
    load_trainer()
    assert "PYTORCH_CUDA_ALLOC_CONF" not in os.environ
