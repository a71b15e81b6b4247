"""Cores and memory, also where the system lacks Linux's calls, as macOS does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from archsearch.data import decoding, sourced
from archsearch.experiment import machine
from archsearch.search.confirming.slots import slots
from archsearch.space.settings import ResourceSettings

GIB = 2**30


def test_cores_are_those_of_the_affinity_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 3, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert machine.cores() == 3


@pytest.mark.parametrize(("count", "cores"), [(8, 8), (None, 1)])
def test_cores_without_affinity_are_all(count: int | None, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert machine.cores() == cores
    assert decoding.cores() == cores
    assert slots(ResourceSettings(cpus_per_trial=1), "cpu").count == cores


@pytest.fixture
def without_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, int]:
    """No /proc, no limit of a container, and of sysconf only what the dictionary holds."""
    known = {"SC_PHYS_PAGES": 16 * GIB // 4096, "SC_PAGE_SIZE": 4096}

    def sysconf(name: str) -> int:
        if name not in known:
            raise ValueError("unrecognized configuration name")
        return known[name]

    monkeypatch.setattr(os, "sysconf", sysconf)
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "CONTAINER_LIMIT", tmp_path / "memory.max")
    return known


def test_free_memory_is_half_of_all_where_the_system_does_not_say(without_linux) -> None:
    assert machine.total_memory() == 16 * GIB
    assert machine.free_memory() == sourced.free_memory() == 8 * GIB


def test_free_memory_is_the_free_pages_without_an_estimate(without_linux) -> None:
    without_linux["SC_AVPHYS_PAGES"] = 3 * GIB // 4096
    machine.MEMINFO.write_text("MemTotal:  16777216 kB\nMemFree:  1024 kB\n")
    assert machine.free_memory() == 3 * GIB


@pytest.mark.parametrize(("limit", "free"), [("max", 5), (str(2 * GIB), 2), (str(9 * GIB), 5)])
def test_free_memory_is_linux_estimate_within_the_containers_limit(limit: str, free: int, without_linux) -> None:
    machine.MEMINFO.write_text(f"MemFree:  1024 kB\nMemAvailable:  {5 * GIB // 1024} kB\n")
    machine.CONTAINER_LIMIT.write_text(f"{limit}\n")
    assert machine.free_memory() == free * GIB


def test_doctor_looks_at_memory_there_too(without_linux, capsys: pytest.CaptureFixture[str]) -> None:
    from archsearch.search.running.readiness import _memory

    assert _memory().found == "8.0 GiB free of 16.0"
