"""How processes that train wait and allocate: what is set, what a user's environment keeps, what a process then has."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archsearch.experiment import processes
from archsearch.experiment.processes import (
    ProcessSettings,
    keep_freed_memory,
    malloc_variables,
    set_waiting,
    starting_processes,
)
from archsearch.search.running import environment

linux = pytest.mark.skipif(sys.platform != "linux", reason="Ray's wheel brings jemalloc on Linux alone")
HAS_JEMALLOC = "import ctypes; print(hasattr(ctypes.CDLL(None), 'mallctl'))"
PLAIN = ProcessSettings(passive=False, jemalloc=False)


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*processes.WAITING, "LD_PRELOAD", "RAY_LD_PRELOAD_ON_WORKERS", "MALLOC_ARENA_MAX"):
        monkeypatch.setenv(name, "")  # so that what a test sets is taken back
        monkeypatch.delenv(name)


def test_idle_threads_sleep_where_the_user_has_not_settled_how_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    set_waiting(PLAIN)
    assert "OMP_WAIT_POLICY" not in os.environ
    set_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    for name, value in (("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "100")):
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        monkeypatch.setenv(name, value)
        set_waiting()
        assert os.environ.get("OMP_WAIT_POLICY") in (None, "ACTIVE")


@linux
def test_processes_that_are_spawned_have_jemalloc_and_others_have_not() -> None:
    spawn = multiprocessing.get_context("spawn")
    before = dict(os.environ)
    with starting_processes(), spawn.Pool(1) as pool:
        name, value, waits = pool.apply(_malloc_of_this_process)
    assert (name, waits) == ("jemalloc", "PASSIVE") and Path(value).name == "libjemalloc.so"
    assert {**before, "OMP_WAIT_POLICY": "PASSIVE"} == dict(os.environ), "this process starts others without"


def _malloc_of_this_process() -> tuple[str, str, str]:
    loaded = subprocess.run([sys.executable, "-c", HAS_JEMALLOC], capture_output=True, text=True, check=True).stdout
    keep_freed_memory()
    name = "jemalloc" if loaded.strip() == "True" else "glibc"
    return name, os.environ.get("LD_PRELOAD", ""), os.environ.get("OMP_WAIT_POLICY", "")


@linux
@pytest.mark.parametrize("name", ["LD_PRELOAD", "MALLOC_ARENA_MAX", "MALLOC_CONF"])
def test_a_malloc_that_the_user_has_set_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert malloc_variables() and not malloc_variables(PLAIN)
    monkeypatch.setenv(name, "1")
    assert not malloc_variables()
    environment.prepare(None)
    assert "RAY_LD_PRELOAD_ON_WORKERS" not in os.environ


def test_without_ray_s_wheel_the_malloc_is_the_system_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "find_spec", lambda name: None)
    assert not malloc_variables()


@linux
def test_ray_s_workers_have_its_jemalloc_where_the_ray_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    environment.prepare("10.0.0.1:6379")
    assert "RAY_LD_PRELOAD_ON_WORKERS" not in os.environ, "that Ray runs already"
    environment.prepare(None)
    assert os.environ["RAY_LD_PRELOAD_ON_WORKERS"] == "1" and os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@linux
@pytest.mark.slow
def test_a_worker_of_our_own_ray_has_jemalloc() -> None:
    ran = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.split() == ["True", "PASSIVE"]


WORKER = """
import ctypes, os
from archsearch.search.running.environment import prepare
prepare(None)
import ray
from archsearch.search.running.cluster import cluster
with cluster(None, object_bytes=0):
    seen = ray.remote(lambda: (hasattr(ctypes.CDLL(None), "mallctl"), os.environ["OMP_WAIT_POLICY"]))
    print(*ray.get(seen.remote()))
"""
