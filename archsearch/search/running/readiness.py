"""Whether this machine can run a search: Python, the packages, GPUs, cores, memory, disk and data."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from archsearch.experiment import machine
from archsearch.experiment.file_systems import consequence, file_system
from archsearch.experiment.folder import EXPERIMENTS
from archsearch.reading.packages import requirements
from archsearch.search.running.environment import LONGEST_TMPDIR, has_long_tmpdir
from archsearch.space.placement import placed
from archsearch.space.settings import ResourceSettings

PACKAGES = ("torch", "torchvision", "ray", "optuna", "mlflow", "fvcore", "numpy", "scikit-learn")
GIB = 2**30
PACKED = "as many on each as fit by predicted memory; resources.gpus_per_trial sets another share"


class Finding(NamedTuple):
    """One thing that was looked at: its name, whether it is as it should be, what it is, and what to do."""

    name: str
    level: Literal["ok", "warn", "problem"]
    found: str
    advice: str = ""


def findings() -> Iterator[Finding]:
    """A line for each thing that was looked at."""
    yield _python()
    required = requirements()
    yield from (_package(name, required[name].bounds if name in required else "") for name in PACKAGES)
    yield _gpus()
    yield _cores()
    yield _memory()
    yield _disk("disk", Path.cwd(), 2 * GIB, "experiments and MLflow's store are written here")
    yield from _file_system(EXPERIMENTS)
    if sys.platform == "linux":
        yield _disk("/dev/shm", Path("/dev/shm"), GIB, "Ray stores images there; in Docker use --shm-size=4g")
    if has_long_tmpdir():
        advice = "Ray's files go to /tmp instead; set RAY_TMPDIR to use another folder"
        yield Finding("TMPDIR", "warn", f"longer than {LONGEST_TMPDIR} bytes, which is too long for sockets", advice)
    yield from _data()


def _python() -> Finding:
    fits = sys.version_info >= (3, 11)
    return Finding(
        "python", "ok" if fits else "problem", platform.python_version(), "" if fits else "install Python 3.11 or later"
    )


def _package(name: str, bounds: str) -> Finding:
    advice = f'pip install "{name}{bounds}"'
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "problem", "not installed", advice)
    if _is_within(version, bounds):
        return Finding(name, "ok", version)
    return Finding(name, "warn", f"{version}; archsearch requires {bounds}", f"if it fails: {advice}")


def _is_within(version: str, bounds: str) -> bool:
    """Whether a version keeps bounds such as `>=2.9,<3`, by numbers alone: 2.9.0rc1 and 2.9.0+cpu count as 2.9.0."""
    release = _numbers(version)
    for relation, bound in re.findall(r"(>=|<)([^,]+)", bounds):
        if (release >= _numbers(bound)) != (relation == ">="):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[a-z+]", version)[0]))


def _gpus() -> Finding:
    """torch takes seconds to import, so it is asked only where the system may have a GPU."""
    if not machine.has_gpu_driver():
        return Finding("gpu", "ok", "none: trials run on the CPU")
    try:
        from archsearch.training.devices import gpus, gpus_problem, tested_with
    except ImportError as error:
        return Finding("gpu", "problem", f"torch cannot be imported: {error}", "install torch")
    usable, problem = gpus(), gpus_problem()
    placement = placed("auto", ResourceSettings(), gpus=len(usable), packed=lambda: (1.0, PACKED), unusable=problem)
    named = ", ".join(f"{gpu} (compute capability {'.'.join(map(str, gpu.capability))})" for gpu in usable)
    text = "; ".join(part for part in (named, problem if usable else "", placement.text) if part)
    return Finding("gpu", "warn", text, tested_with()) if problem else Finding("gpu", "ok", text)


def _cores() -> Finding:
    count = machine.cores()
    if count == 1:
        return Finding("cpu", "warn", "1 core", "trials run one at a time, and slowly")
    return Finding("cpu", "ok", f"{count} cores")


def _memory() -> Finding:
    free, total = machine.free_memory(), machine.total_memory()
    text = f"{free / GIB:.1f} GiB free of {total / GIB:.1f}"
    if free < 2 * GIB:
        return Finding("memory", "warn", text, "a worker takes about 0.7 GiB: set resources.max_concurrent: 1")
    return Finding("memory", "ok", text)


def _disk(name: str, folder: Path, needed: int, advice: str) -> Finding:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(name, "warn", f"cannot be checked: {error.strerror}", advice)
    text = f"{free / GIB:.1f} GiB free"
    return Finding(name, "ok", text) if free >= needed else Finding(name, "warn", text, advice)


def _file_system(experiments: Path) -> Iterator[Finding]:
    """Nothing on a local disk."""
    system = file_system(experiments)
    if system.is_network:
        yield Finding("experiments", "problem" if system.is_object_store else "warn", str(system), consequence(system))


def _data() -> Iterator[Finding]:
    if find_spec("sklearn") is None:
        yield Finding(
            "digits", "warn", "scikit-learn, which contains them, is not installed", "only needed to search on digits"
        )
    else:
        yield Finding("digits", "ok", "part of scikit-learn")
    cifar = (Path("data/cifar-10-batches-py"), Path("data/cifar-10-python.tar.gz"))
    cifar_100 = (Path("data/cifar-100-python"), Path("data/cifar-100-python.tar.gz"))
    fashion = (Path("data/FashionMNIST/raw"), Path("/usr/share/datasets/fashion-mnist"))
    for name, paths in (("cifar10", cifar), ("cifar100", cifar_100), ("fashion_mnist", fashion)):
        path = next((path for path in paths if path.exists()), None)
        if path is not None:
            yield Finding(name, "ok", str(path))
        else:
            advice = "only needed to search on it: set data.download: true, or data.root to its folder"
            yield Finding(name, "warn", "not found in ./data", advice)
