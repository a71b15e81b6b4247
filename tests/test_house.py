"""The house: imports go down the tiers only, heavy libraries live in one room each, files stay readable."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "archsearch"
TIERS = {
    "reading": 0,
    "architecture": 0,
    "experiment": 0,
    "network": 2,
    "space": 2,
    "zoo": 2,
    "analysis": 3,
    "tracking": 3,
    "training": 3,
    "export": 3,
    "search": 4,
    "cli": 5,
}
# Rooms of one tier that may still look at one another, and why: the ground's rooms read people's text; MLflow shows
# drawings, and its registry holds trained weights; an export is scored on the data as training reads it, with
# analysis' intervals.
BESIDE = {
    ("architecture", "reading"),
    ("experiment", "reading"),
    ("network", "zoo"),
    ("tracking", "analysis"),
    ("tracking", "training"),
    ("export", "training"),
    ("export", "analysis"),
}
HOMES = {
    "ray": {"search/executor.py", "search/lanes.py", "search/cluster.py", "search/nodes.py", "search/prestart.py"},
    "optuna": {"search/samplers/optuna_adaptor.py"},
    "mlflow": {"tracking"},
    "torch": {"network", "training", "export", "search/objective.py"},
    "torchvision": {"training"},
    "sklearn": {"training", "analysis"},
    "fvcore": {"network"},
    "rich": {"cli"},
    "typer": {"cli"},
}
HEAVY = ("torch", "torchvision", "ray", "optuna", "mlflow")
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def place(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("file", FILES, ids=place)
def test_imports_go_down_the_tiers_only(file: Path) -> None:
    room = place(file).split("/")[0]
    if room not in TIERS:  # the package's own two doors: archsearch and python -m archsearch
        return
    for name in imports(file):
        parts = name.split(".")
        if parts[0] != "archsearch" or len(parts) < 2 or parts[1] not in TIERS or parts[1] == room:
            continue
        lower = TIERS[parts[1]] < TIERS[room] or (room, parts[1]) in BESIDE
        assert lower, f"{place(file)} (tier {TIERS[room]}) imports {name} (tier {TIERS[parts[1]]})"


@pytest.mark.parametrize("file", FILES, ids=place)
def test_each_heavy_library_is_named_in_its_own_room(file: Path) -> None:
    for name in imports(file):
        homes = HOMES.get(name.split(".")[0])
        if homes is not None:
            here = place(file)
            assert here in homes or here.split("/")[0] in homes, f"{here} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=place)
def test_files_are_about_three_hundred_lines_at_most(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 320


def test_every_room_has_a_tier_and_says_what_it_is() -> None:
    rooms = {path.parent.relative_to(PACKAGE).as_posix() for path in FILES} - {"."}
    assert {room.split("/")[0] for room in rooms} <= set(TIERS)
    for room in rooms:
        first = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
        assert first, f"{room}/__init__.py has no docstring"


@pytest.mark.parametrize("module", ["archsearch", "archsearch.cli", "archsearch.space", "archsearch.zoo"])
def test_importing_is_cheap(module: str) -> None:
    code = f"import {module}, sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("missing", [("ray", "optuna", "mlflow")])
def test_counting_building_and_training_need_torch_alone(missing: tuple[str, ...]) -> None:
    code = f"""
import sys
for name in {missing!r}:
    sys.modules[name] = None  # importing it raises ImportError
import archsearch
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.datasets import load_images
from archsearch.training.loop import Training
architecture = archsearch.zoo.get("resnet20_cifar").model_copy(update={{"input": (1, 8, 8)}})
assert archsearch.cost(architecture).params > 0
images = load_images(DataSettings(limit=64))
training = Training(archsearch.build(architecture), images, TrainingSettings(epochs=1, batch_size=32), seed=0)
print(next(iter(training)).validation_accuracy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 <= float(done.stdout) <= 1


def test_the_public_names_are_what_the_package_says() -> None:
    import archsearch

    assert all(getattr(archsearch, name) is not None for name in archsearch.__all__)
    assert dir(archsearch) == sorted(archsearch.__all__)
