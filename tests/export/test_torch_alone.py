"""model.py where there is nothing but torch: a virtual environment of its own, some minutes without a cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from archsearch.cli import main

BESIDE = ("archsearch", "torchvision", "numpy", "timm", "safetensors")
ASK = """
import importlib.util, sys
print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name)))
import model
import torch
network = model.build().eval()
print(tuple(network(torch.zeros(2, *map(int, "3x32x32".split("x")))).shape))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet20_cifar", "densenet40_12_cifar", "highway19_cifar"])
def test_model_py_is_imported_by_torch_alone(name: str, alone: Path, tmp_path: Path) -> None:
    assert main(["export", name, "--format", "python", "-o", str(tmp_path / "model.py")]) == 0
    command = [str(alone), "-E", "-W", "ignore", "-c", ASK, *BESIDE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\n(2, 10)\n"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with torch, what torch needs, and nothing else."""
    place = tmp_path_factory.mktemp("alone")
    python = place / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    uv = Path(sys.executable).parent / "uv"
    torch_ = f"torch=={torch.__version__.partition('+')[0]}"
    done = subprocess.run(
        [str(uv), "pip", "install", "--quiet", "--python", str(python), torch_],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"torch cannot be installed here: {done.stderr.strip()[-200:]}")
    return python
