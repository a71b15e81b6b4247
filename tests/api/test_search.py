"""archsearch.search: its arguments, and a real search from a script without a guard, interrupted and gone on with."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import archsearch
from archsearch import InputError
from archsearch.api.arguments import names_its_arguments
from archsearch.api.driving import Audience
from archsearch.api.showing.board import Board
from archsearch.api.showing.notebook import SearchLine
from archsearch.api.showing.printing import is_notebook
from archsearch.reading.errors import refuse
from archsearch.space.space import SearchSpace
from tests.api.test_spaces import SMALL
from tests.tracking.stores import a_copy

SCRIPT = """
import json, threading
import numpy as np
import archsearch

rng = np.random.default_rng(0)
labels = np.arange(120) % 3
images = (40 * labels[:, None, None] + rng.integers(0, 40, (120, 8, 8))).astype(np.uint8)
space = {
    "archsearch": 1, "name": "made", "space": {"stages": 1, "depth": {"int": [1, 2]}, "width": {"choice": [4, 8]}},
    "search": {"early_stopping": {"kind": "none"}}, "training": {"epochs": 1, "precision": "float32"},
    "resources": {"max_concurrent": 1},  # a second worker takes seconds to start, in each of the sessions
}

class Stops:
    phases, epochs = [], 0
    def phase(self, text):
        self.phases.append(text)
    def trial(self, trial, metrics):
        Stops.epochs += metrics is not None
        if metrics is not None:
            raise KeyboardInterrupt  # as Ctrl-C and a notebook's stop button do

stops = Stops()
try:
    archsearch.search(space, data=(images, labels), trials=3, seed=1, callbacks=[stops], training={"batch_size": 16})
    interrupted = False
except KeyboardInterrupt:
    interrupted = True
before = archsearch.open("made").state
thread = threading.Thread(target=lambda: archsearch.open("made").resume(progress=False))
thread.start()
thread.join()
made = archsearch.open("made")
confirmed = made.confirm(top=1, seeds=1, baselines=[], random=False, progress=False)
print(json.dumps({
    "interrupted": interrupted, "before": before, "phases": stops.phases, "epochs": stops.epochs, "state": made.state,
    "confirmed": confirmed["state"], "states": made.trials["state"].tolist(), "classes": made.architecture.classes,
    "batch": made.space.training.batch_size,
    "data": made.images().digest, "scores": list(made.module()(__import__("torch").zeros(1, 1, 8, 8)).shape),
}))
"""


def test_a_script_searches_its_arrays_is_interrupted_and_goes_on_in_a_thread(tmp_path: Path, empty_store: str) -> None:
    a_copy(empty_store, tmp_path / "mlruns" / "mlflow.db")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["interrupted"]
    assert told["before"] == "interrupted"
    assert "archsearch.open('made').resume()" in done.stderr
    assert told["phases"][:2] == ["loading arrays", "starting Ray"]
    assert told["epochs"] == 1
    assert (told["state"], told["confirmed"]) == ("finished", "confirmed")
    assert told["states"] == ["finished"] * 3
    assert (told["classes"], told["batch"], told["scores"]) == (3, 16, [1, 3])
    assert (tmp_path / "experiments" / "made" / "arrays" / "train-images.npy").is_file()
    assert (tmp_path / "experiments" / "made" / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"data": "nowhere"},
            "data is 'nowhere'; allowed: digits, cifar10, cifar100, fashion_mnist, mnist, svhn, a folder",
        ),
        ({"data": {"name": "digits", "validation": 0}}, "data.validation"),
        ({"data": (np.zeros((9, 8, 8)), [0] * 8)}, "for 9 images"),
        ({"trials": 0}, "search.trials"),
        ({"seed": -1}, "search.seed"),
        ({"name": "a/b"}, "the name 'a/b'"),
        ({"callbacks": [print]}, "a callback of type builtin_function_or_method"),
        ({"warm_start": "nothing"}, "no experiment 'nothing'"),
        ({"training": {"epochs": 0}}, "training.epochs"),
        ({"epochs": 3}, "the override 'epochs'"),
    ],
)
def test_only_input_errors_come_of_bad_input_and_nothing_is_written(
    arguments: dict, message: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        archsearch.search(SMALL, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_the_package_is_the_function() -> None:
    from inspect import signature

    import archsearch.search.session as session
    from archsearch.api.search import search

    assert archsearch.search.session is session  # type: ignore[attr-defined]
    assert signature(archsearch.search) == signature(search)


def test_a_notebook_sees_one_line_that_is_drawn_anew(monkeypatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, html: object) -> None:
            shown.append(html.data)  # type: ignore[attr-defined]

    import IPython.display

    monkeypatch.setattr(IPython.display, "display", lambda html, display_id: shown.append(html.data) or Handle())
    line = SearchLine(Board(name="<b>", planned=3, epochs=2))
    line.phase("starting Ray")
    line.phase("searching")
    assert len(shown) == 2
    assert "&lt;b&gt;; searching; 0:00; 0 of 3 trials" in shown[1]
    assert not is_notebook()
    assert Audience(progress=False).tell("nothing") is None


def test_a_sampler_of_another_module_has_to_be_allowed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="a sampler from a module other"):
        archsearch.search(SMALL, search={"sampler": {"optuna": "mine:Sampler"}}, progress=False)
    with pytest.raises(InputError, match=r"No module named|cannot be imported|no module|mine"):
        archsearch.search(
            SMALL, search={"sampler": {"optuna": "mine:Sampler"}}, allow_samplers=["mine:Sampler"], progress=False
        )
    assert list(tmp_path.iterdir()) == []


def test_a_space_is_made_for_data_that_come_without_one(monkeypatch) -> None:
    """The options of `archsearch run DIR`, from Python: for a folder, for arrays and for a data set by its name."""
    begun: list[SearchSpace] = []

    def begin(space: SearchSpace, **_: object) -> None:
        begun.append(space)
        raise InterruptedError

    monkeypatch.setattr("archsearch.api.searching.begin", begin)
    monkeypatch.setattr("archsearch.api.initial.affordable_flops", lambda *_, **__: 2_000_000)
    arrays = (np.zeros((90, 3, 24, 32), np.uint8), np.arange(90) % 4)
    for data, expected in (("digits", ("digits", (1, 8, 8), 10)), (arrays, ("arrays", (3, 24, 32), 4))):
        with pytest.raises(InterruptedError):
            archsearch.search(data=data, time="10m", params="60k", trials=7, training={"batch_size": 8})
        space = begun.pop()
        assert (space.data.name, space.input, space.classes) == expected
        assert space.budget.to_data() == {"flops": {"between": ["400k", "2M"]}, "params": {"max": "60k"}}
        assert (space.search.wall_time, space.search.trials, space.training.batch_size) == (600, 7, 8)
    with pytest.raises(InterruptedError):
        archsearch.search(SMALL, data="digits", time="2m", flops=900_000)
    assert begun[0].budget.to_data()["flops"] == {"max": "900k"} and begun[0].search.wall_time == 120


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "space: neither a space nor data"),
        ({"data": "digits", "flops": "many"}, "flops: the count 'many'"),
        ({"data": "digits", "flops": 1000}, "flops: no residual network for images of 8x8 has 1,000 FLOPs"),
        ({"data": "digits", "time": "soon"}, "time: the time 'soon'"),
        ({"data": {"name": "folder"}}, "data: a folder without root"),
        ({"space": SMALL, "name": "a b"}, "name: the name 'a b'"),
        ({"space": SMALL, "folder": "."}, "folder: the folder .* holds other files.*\n  hint: choose another folder"),
        ({"space": SMALL, "warm_start": "here"}, "warm_start: no experiment 'here'"),
        ({"space": SMALL, "address": "ray://x:1"}, "address: "),
    ],
)
def test_errors_name_the_arguments_of_python(arguments: dict, message: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message) as refused:
        archsearch.search(**{"progress": False, **arguments})
    assert "--" not in str(refused.value).partition("`")[0]


def test_options_in_an_errors_text_are_arguments_and_commands_stay() -> None:
    @names_its_arguments(output="folder")
    def refused() -> None:
        hint = "another --output, --set data.root=DIR, --root DIR; `archsearch run --warm-start` begins anew"
        raise refuse("it is --there", hint=hint, file="--warm-start")

    with pytest.raises(InputError) as error:
        refused()
    hint = 'another folder, data={"root": DIR}, root=DIR; `archsearch run --warm-start` begins anew'
    assert str(error.value) == f"warm_start: it is --there\n  hint: {hint}"
