"""The core alone: with the packages of requirements-core.txt and no others a network is counted, built, trained and
exported, and what needs more says in one line which line of pip brings it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsearch.reading.packages import missing_package, refuse_without, requirements

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = [line for line in (ROOT / "requirements-core.txt").read_text().splitlines() if not line.startswith("#")]
BEYOND = (
    "ray", "optuna", "mlflow", "torchvision", "fvcore", "sklearn", "scipy", "pandas", "threadpoolctl", "pyarrow",
    "onnx", "onnxscript", "onnxruntime", "optuna_dashboard", "plotly",
)  # fmt: skip


def core(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`archsearch ARGUMENTS` where none of BEYOND can be imported."""
    code = f"""
import sys
for name in {BEYOND}:
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
from archsearch.cli import main
sys.exit(main())
"""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `images`: two classes of 20 images of 8 x 8."""
    path = tmp_path_factory.mktemp("core")
    rng = np.random.default_rng(0)
    for kind in "ab":
        (path / "images" / kind).mkdir(parents=True)
        for number in range(20):
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(path / "images" / kind / f"{number}.png")
    return path


def test_the_core_is_a_part_of_the_dependencies_word_for_word() -> None:
    assert set(CORE) < set(PROJECT["dependencies"])
    names = {re.match(r"[\w-]+", line)[0] for line in PROJECT["dependencies"] if line not in CORE}  # type: ignore[index]
    assert names == {"scikit-learn" if name == "sklearn" else name for name in BEYOND[:10]}


def test_the_core_counts_trains_and_exports(folder: Path) -> None:
    trained = "trained/resnet20_cifar-folder"
    weights = f"{trained}/weights.safetensors"
    for line in [
        "profile resnet20_cifar",
        "check digits --no-probe",
        "sample digits -n 2",
        "train resnet20_cifar --data folder --root images --set data.size=8 --epochs 1",
        f"export {trained}/model.yaml --format config -o model.yaml",
        f"export {trained}/model.yaml --format python --weights {weights} -o model.py",
    ]:
        done = core(*line.split(), cwd=folder)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert all((folder / name).is_file() for name in (weights, "model.yaml", "model.py"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run digits --set data.name=folder --set data.root=images --set data.size=8", "ray is not installed; `pip"),
        ("check digits --samples 100", "scipy is not installed; `pip install archsearch` brings it"),
        ("export resnet20_cifar --format onnx -o m.onnx", 'pip install "archsearch[export]"'),
    ],
)
def test_what_needs_more_says_which_line_of_pip_brings_it(line: str, message: str, folder: Path) -> None:
    done = core(*line.split(), cwd=folder)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert not (folder / "experiments").exists()


def test_each_missing_package_names_its_extra() -> None:
    assert requirements()["ray"].extra == "" and requirements()["onnx"].extra == "export"
    for module, line in {
        "sklearn.datasets": "scikit-learn is not installed; `pip install archsearch` brings it",
        "onnxruntime": 'onnxruntime is not installed; `pip install "archsearch[export]"` brings it',
    }.items():
        assert line in str(missing_package(ModuleNotFoundError(name=module)))
    assert missing_package(ModuleNotFoundError(name="somebody.elses")) is None
    refuse_without("json")


def test_the_doctor_does_not_find_digits_where_scikit_learn_is_missing(folder: Path) -> None:
    done = core("doctor", cwd=folder)
    (line,) = [line for line in done.stdout.splitlines() if " digits " in line]
    assert "warn" in line and "scikit-learn" in line and "not installed" in line, done.stdout
