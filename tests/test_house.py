"""The house: imports go down one order of rooms only, heavy libraries live in one room each, files stay readable."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "archsearch"
# From the ground up: a room imports what stands before it in this list, and nothing else. Inside a room with landings
# the same holds for its folders and the files beside them.
ROOMS = [
    "reading",
    "architecture",
    "experiment",
    "zoo",
    "sources",
    "space",
    "study",
    "data",
    "network",
    "guests",
    "training",
    "analysis",
    "tracking",
    "export",
    "anatomy",
    "shrinking",
    "search",
    "api",
    "cli",
]
LANDINGS = {
    "search": ["agreement", "proposing", "deciding", "foretelling", "running", "session", "confirming"],
    "cli": ["table", "dispatch", "options", "arguments", "showing", "driving", "verbs"],
}
HOMES = {
    "ray": {"search/running"},
    "optuna": {
        "study",
        "api/experiment.py",
        "search/proposing/samplers/faces.py",
        "search/proposing/samplers/optuna_adaptor.py",
    },
    "mlflow": {"tracking"},
    "torch": {"network", "guests", "training", "export", "anatomy", "shrinking", "search/running/worker.py"},
    "torchvision": {"training", "guests", "data/download.py"},
    "timm": {"guests"},
    "PIL": {"data"},
    "pyarrow": {"sources"},
    "sklearn": {"data", "analysis", "training/metrics.py"},
    "scipy": {"analysis", "data/svhn.py", "training/measuring/line.py"},
    "fvcore": {"network"},
    "rich": {"api", "cli"},
    "pandas": {"api"},
    "typer": {"cli"},
}
# Names that could mean anything: the glossary of CONTRIBUTING has a term for what they stand for.
VAGUE = {
    "found", "place", "places", "said", "says", "own", "ours", "asked", "told", "words", "given", "wanted",
    "known", "done", "did", "taken", "made", "got", "thing", "things", "stuff", "seen", "heard", "here", "there",
    "so",
}  # fmt: skip
HEAVY = ("torch", "torchvision", "ray", "optuna", "mlflow", "pandas")
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


def path_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def arrows() -> dict[str, set[str]]:
    """Which file imports which, lazy and typing imports too."""
    modules = {"archsearch." + path_of(file)[:-3].replace("/", "."): path_of(file) for file in FILES}
    packages = {name.removesuffix(".__init__"): file for name, file in modules.items()}
    found: dict[str, set[str]] = {}
    for file in FILES:
        names = imports(file)
        hits = {packages.get(name) or packages.get(name.rpartition(".")[0]) for name in names}
        found[path_of(file)] = {hit for hit in hits if hit is not None and hit != path_of(file)}
    return found


ARROWS = arrows()


def landing(file: str) -> str:
    """The part of a room below its name: a folder, or a file that stands beside the folders."""
    return file.split("/")[1].removesuffix(".py")


def test_imports_go_down_one_total_order_of_rooms() -> None:
    order = {room: height for height, room in enumerate(ROOMS)}
    broken = [
        f"{file} imports {other}"
        for file, others in ARROWS.items()
        for other in others
        if "/" in file and "/" in other and order[file.split("/")[0]] < order[other.split("/")[0]]
    ]
    assert broken == []


@pytest.mark.parametrize("room", LANDINGS)
def test_imports_go_down_the_landings_of_a_room(room: str) -> None:
    order = {name: height for height, name in enumerate(LANDINGS[room])}
    broken = [
        f"{file} imports {other}"
        for file, others in ARROWS.items()
        for other in others
        if file.startswith(f"{room}/")
        and other.startswith(f"{room}/")
        and "__init__" not in file
        and order[landing(file)] < order[landing(other)]
    ]
    assert broken == []


def test_no_files_import_each_other_in_a_circle() -> None:
    TopologicalSorter(ARROWS).prepare()  # raises CycleError, which names the circle


def test_the_search_is_a_few_landings_with_few_arrows_between_them() -> None:
    between = {
        (landing(file), landing(other))
        for file, others in ARROWS.items()
        for other in others
        if file.startswith("search/") and other.startswith("search/") and landing(file) != landing(other)
    }
    assert len({name for pair in between for name in pair}) <= 8
    assert len(between) <= 10, sorted(between)


@pytest.mark.parametrize("file", FILES, ids=path_of)
def test_each_heavy_library_is_named_in_its_own_room(file: Path) -> None:
    for name in imports(file):
        homes = HOMES.get(name.split(".")[0])
        if homes is not None:
            here = path_of(file)
            assert any(here == home or here.startswith(f"{home}/") for home in homes), f"{here} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=path_of)
def test_files_are_about_three_hundred_lines_at_most(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 320


def bound(file: Path) -> Iterator[tuple[str, int]]:
    """Each name that the file gives to a value, an argument, a field, a function or a class, with its line."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno


def test_names_say_what_they_hold() -> None:
    names = [(name.strip("_"), f"{path_of(file)}:{line}") for file in FILES for name, line in bound(file)]
    vague = [f"{where} {name}" for name, where in names if name in VAGUE]
    assert len(vague) <= 0.005 * len(names), vague


def test_every_room_stands_in_the_order_and_says_what_it_is() -> None:
    rooms = {path.parent.relative_to(PACKAGE).as_posix() for path in FILES} - {"."}
    assert {room.split("/")[0] for room in rooms} == set(ROOMS)
    for room in rooms:
        first = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
        assert first, f"{room}/__init__.py has no docstring"


@pytest.mark.parametrize("module", ["archsearch", "archsearch.cli", "archsearch.space.loading", "archsearch.zoo"])
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
from archsearch.data.datasets import load_images
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
