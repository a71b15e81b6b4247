"""The script that a GPU is lent for: its CPU half, its GPU half with stand-ins, and that nothing ends it early."""

import inspect
import json
import re
import sys
import time
import warnings
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any
from unittest.mock import create_autospec

import pytest
import torch

from benchmarks import gpu_proof
from benchmarks.gpu_sections import SECTIONS, TOTAL, ceilings, correctness, ways
from benchmarks.gpu_sections.row import Row
from benchmarks.gpu_sections.setting import Gpu, Setting
from tests.training.recipes import RECIPES


@pytest.fixture(autouse=True)
def threads_put_back() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def filled(name: str, *, rehearse: bool = False, seconds: float = 300.0) -> Row:
    return gpu_proof.run_section(Row(name, time.time() + seconds), quick=True, rehearse=rehearse)


def test_the_cpu_half_of_a_section_passes_and_says_what_it_left_out() -> None:
    row = filled("waits")
    assert (row.state, row.errors) == ("passed", {})
    assert [mark["value"] for mark in row.marks.values()] == ["all 3", "all 3"]
    assert row.figures == {"plain": "7 steps", "mixed": "7 steps", "depth per batch": "11 pieces"}
    assert row.left_out == {"what the host waits for on a GPU": "no GPU here"}
    assert row.device is not None and row.device["kind"] == "cpu"


def test_the_gpu_half_is_rehearsed_and_its_figures_count_for_nothing() -> None:
    row = filled("waits", rehearse=True)
    assert (row.state, row.errors, row.left_out) == ("passed", {}, {})
    assert row.figures["mixed: waits an epoch"] == {"replayed": 2, "eager": 2} and len(row.marks) == 3
    row.mark("a figure", 1, "2", passed=False)
    assert row.state == "passed"
    row.rehearsed = False
    assert row.state == "failed"


def wrong_replay(step: Any, device: torch.device) -> Any:
    """Stands for a graph whose steps have another rate."""

    def replay() -> None:
        step.tables["rate"] *= 1.5
        step()

    return replay


def test_a_case_of_each_recipe_is_trained_and_a_replay_that_differs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(device=torch.device("cpu"), gpu=None)
    cases = correctness.all_cases(setting)
    assert {*RECIPES, "depth per sample", "depth per batch", "restored", "moved end"} < {*cases}
    trainings = {name: case("auto", "float32") for name, case in cases.items() if name != "restored"}
    assert {training.precision for training in trainings.values()} == {"float32"}
    monkeypatch.setattr(ways, "taped", wrong_replay)
    wrong: dict[str, list[str]] = {kind: [] for kind in ("float32", "bfloat16", "eager", "fall-backs")}
    with ways.replayable_here(setting):
        correctness.compared(Row("correctness", time.time() + 60), "plain", cases["plain"], wrong, setting)
    assert [name.split(" (")[0] for name in wrong["fall-backs"]] == ["plain", "plain"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SECTIONS if name != "compiled"])
def test_every_section_is_rehearsed(name: str) -> None:
    assert filled(name, rehearse=True).errors == {}


def test_a_section_that_raises_is_a_failed_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(row: Row, setting: Setting) -> None:
        with row.part("first"):
            raise RuntimeError("CUDA error: an illegal memory access")
        with row.part("second"):
            row.needs(1000)
            row.figure("never", 1)
        row.figure("third", 3)
        raise OSError("the disk is full")

    monkeypatch.setattr(ceilings, "run", breaks)
    row = filled("ceilings")
    assert (row.state, row.figures) == ("failed", {"third": 3})
    assert row.errors["first"].startswith("RuntimeError: CUDA error: an illegal memory access\n")
    assert row.errors["second"].startswith("NoTime: ") and row.errors["second"].endswith("it takes 1000")
    assert row.errors["the section"].startswith("OSError: the disk is full")


@pytest.mark.parametrize(("last", "status"), [("passed", 0), ("failed", 1)])
def test_the_file_is_whole_after_each_change(last: str, status: int, tmp_path, monkeypatch, capsys) -> None:
    out, documents = tmp_path / "proof.json", []

    def rows(name: str, until: float, asked: Any) -> Iterator[dict[str, Any]]:
        empty = {"figures": {}, "marks": {}, "left_out": {}, "errors": {}, "device": {"kind": "cuda"}}
        yield {"state": "running", **empty}
        documents.append(json.loads(out.read_text()))
        yield {"state": "passed" if name == "ceilings" else last, **empty}

    monkeypatch.setattr(gpu_proof, "as_it_goes", rows)
    monkeypatch.setattr(gpu_proof, "has_gpu", lambda: True)
    monkeypatch.setattr(sys, "argv", ["gpu_proof.py", "--section", "ceilings", "waits", "--out", str(out)])
    assert gpu_proof.main() == status
    assert [len(document["figures"]["sections"]) for document in documents] == [1, 2]
    document = json.loads(out.read_text())
    assert [row["state"] for row in document["figures"]["sections"].values()] == ["passed", last]
    assert document["met"] is (last == "passed") and f"waits: {last}" in capsys.readouterr().out


def test_a_section_is_ended_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = type("Asked", (), {"quick": True, "rehearse": False})
    (row,) = gpu_proof.as_it_goes("ceilings", time.time() + 0.2, asked)
    assert (row["state"], row["errors"]) == ("failed", {"the section": "it was ended at its time"})
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (row,) = gpu_proof.as_it_goes("ceilings", time.time() + 60, asked)
    assert row["errors"] == {"the section": "its process ended with status 1"}


def test_what_is_called_of_torchs_gpus_is_there_and_takes_these_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "synchronize", "mem_get_info", "memory_allocated", "max_memory_allocated", "memory_reserved", "empty_cache",
        "reset_peak_memory_stats", "set_per_process_memory_fraction", "Stream", "current_stream", "stream", "CUDAGraph",
        "graph", "set_sync_debug_mode",
    ]  # fmt: skip
    mocks = {name: create_autospec(getattr(torch.cuda, name)) for name in names}
    for name, mock in mocks.items():
        monkeypatch.setattr(torch.cuda, name, mock)
    on_a_cpu = partial(torch.profiler.profile, activities=[torch.profiler.ProfilerActivity.CPU])
    monkeypatch.setattr(torch.profiler, "profile", lambda activities: on_a_cpu())
    mocks["mem_get_info"].return_value = (1, 2)
    gpu, ran = Gpu(torch.device("cuda", 0)), []
    gpu.wait()
    assert gpu.memory() == (1, 2)
    gpu.allocated(), gpu.peak(), gpu.reserved(), gpu.forget(), gpu.limit(0.5), gpu.drain()
    gpu.replay(lambda: ran.append("replay"))()
    with gpu.stream(), gpu.waiting_refused() as refusing:
        refusing(True)
    assert gpu.waits(lambda: warnings.warn("called a synchronizing CUDA operation", stacklevel=1)) == 1
    assert gpu.kernels(lambda: ran.append("kernels")) == 0
    assert ran == ["replay", "replay", "kernels"]
    assert [call.args for call in mocks["set_sync_debug_mode"].call_args_list] == [
        ("error",), ("default",), ("warn",), ("default",)
    ]  # fmt: skip
    assert all(mock.called for mock in mocks.values())
    with pytest.raises(IndexError):
        Gpu(torch.device("cpu")).assert_on_device()


def test_each_section_and_what_its_processes_run_is_there() -> None:
    for name in SECTIONS:
        module = import_module(f"benchmarks.gpu_sections.{name}")
        assert callable(module.run)
        for of, function in re.findall(r'"(\w+):(\w+)", setting', inspect.getsource(module)):
            assert inspect.isgeneratorfunction(getattr(import_module(f"benchmarks.gpu_sections.{of}"), function))


def test_the_usual_sections_fit_into_ten_minutes() -> None:
    assert sum(section.seconds for section in SECTIONS.values() if section.usual) == TOTAL < 570
