"""`archsearch doctor`: whether this machine can do what archsearch asks of it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from archsearch.cli.dispatch import app_of, command
from archsearch.cli.options import Json
from archsearch.cli.showing.printing import print_json
from archsearch.experiment import machine

app = app_of("doctor")
PACKAGES = ("torch", "torchvision", "ray", "optuna", "mlflow", "fvcore", "numpy", "scikit-learn")
GIB = 2**30
COLOURS = {"ok": "32", "warn": "33", "problem": "31"}


class Finding(NamedTuple):
    """One line: what was looked at, how it is, what was found, what to do."""

    name: str
    level: Literal["ok", "warn", "problem"]
    found: str
    advice: str = ""


@command(app)
def doctor(*, as_json: Json = False) -> int:
    """Looks at Python, the packages, the GPUs, memory, disk and data; says what to do where something is amiss.

    Exit code 1 where there is a problem; a warning is none.
    """
    findings = list(_findings())
    level = next((lv for lv in ("problem", "warn") if any(f.level == lv for f in findings)), "ok")
    if as_json:
        print_json({"level": level, "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            _print(finding)
    return 1 if level == "problem" else 0


def _print(finding: Finding) -> None:
    word = f"{finding.level:<7}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        word = f"\033[{COLOURS[finding.level]}m{word}\033[0m"
    advice = f"; {finding.advice}" if finding.advice else ""
    print(f"{word}  {finding.name:<13} {finding.found}{advice}")


def _findings() -> Iterator[Finding]:
    yield _python()
    tested = _tested()
    yield from (_package(name, tested.get(name)) for name in PACKAGES)
    yield _gpus()
    yield _cores()
    yield _memory()
    yield _space("disk", Path.cwd(), 2 * GIB, "experiments and MLflow's store grow here")
    if sys.platform == "linux":
        yield _space("/dev/shm", Path("/dev/shm"), GIB, "Ray keeps images there; in Docker: --shm-size=4g")
    yield from _data()


def _python() -> Finding:
    fits = sys.version_info >= (3, 11)
    return Finding("python", "ok" if fits else "problem", platform.python_version(), "" if fits else "3.11 or later")


def _tested() -> dict[str, str]:
    """The versions that archsearch was tested with: its own requirements that are pinned."""
    try:
        wanted = importlib.metadata.requires("archsearch") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    pinned = (re.match(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^;\s]+)\s*$", line) for line in wanted)
    return {match[1]: match[2] for match in pinned if match}


def _package(name: str, tested: str | None) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "problem", "not installed", f"pip install {name}" + (f"=={tested}" if tested else ""))
    if tested is None or version.partition("+")[0] == tested.partition("+")[0]:
        return Finding(name, "ok", version)
    return Finding(name, "warn", f"{version}, tested with {tested}", f"if it fails: pip install {name}=={tested}")


def _gpus() -> Finding:
    """torch takes seconds to import, so it is asked only where the system has a GPU at all."""
    if not Path("/dev/nvidiactl").exists() and not Path("/proc/driver/nvidia").exists():
        return Finding("gpu", "ok", "none: trials run on the CPU")
    from archsearch.training.devices import gpus

    try:
        found = gpus()
    except ImportError as error:
        return Finding("gpu", "problem", f"torch cannot be imported: {error}", "install torch")
    if found is None:
        return Finding("gpu", "warn", "there is one, but torch cannot use it", "install the driver and torch for CUDA")
    return Finding("gpu", "ok", ", ".join(found))


def _cores() -> Finding:
    count = machine.cores()
    if count == 1:
        return Finding("cpu", "warn", "1 core", "trials run one by one, and slowly")
    return Finding("cpu", "ok", f"{count} cores")


def _memory() -> Finding:
    free, total = machine.free_memory(), machine.total_memory()
    found = f"{free / GIB:.1f} GiB free of {total / GIB:.1f}"
    if free < 2 * GIB:
        return Finding("memory", "warn", found, "a worker takes about 0.7 GiB: set resources.max_concurrent: 1")
    return Finding("memory", "ok", found)


def _space(name: str, place: Path, wanted: int, why: str) -> Finding:
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding(name, "warn", f"cannot be looked at: {error.strerror}", why)
    found = f"{free / GIB:.1f} GiB free"
    return Finding(name, "ok", found) if free >= wanted else Finding(name, "warn", found, why)


def _data() -> Iterator[Finding]:
    yield Finding("digits", "ok", "embedded in scikit-learn")
    cifar = (Path("data/cifar-10-batches-py"), Path("data/cifar-10-python.tar.gz"))
    fashion = (Path("data/FashionMNIST/raw"), Path("/usr/share/datasets/fashion-mnist"))
    for name, places in (("cifar10", cifar), ("fashion_mnist", fashion)):
        there = next((place for place in places if place.exists()), None)
        if there is not None:
            yield Finding(name, "ok", str(there))
        else:
            advice = "needed for searches on it only: data.download: true fetches it, or set data.root"
            yield Finding(name, "warn", "not in data", advice)
