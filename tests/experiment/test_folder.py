from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archsearch.experiment import (
    DriverRunning,
    ExperimentFolder,
    find,
    list_experiments,
    write_atomically,
)
from archsearch.experiment.files import numbered
from archsearch.reading.errors import InputError
from tests.experiment import fill

HOLD = """
import sys, time
from pathlib import Path
from archsearch.experiment import ExperimentFolder
with ExperimentFolder(Path(sys.argv[1])).driver_lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_new_folder_is_private_with_its_parents_made(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "not" / "yet" / "söhne-网络").create()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.trial(12).relative_to(folder.path) == Path("trials/t0012")
    assert [p.name for p in folder.path.iterdir()] == ["trials"]
    folder.create()  # a crash before the ledger leaves an empty folder, which is as good as none
    with fill.new(folder) as ledger:
        assert fill.trial(ledger) == 1


def test_what_lies_where_in_an_experiment(tmp_path: Path) -> None:
    """As docs/architecture.md says; scripts of users and older experiments rely on it."""
    folder = ExperimentFolder(tmp_path / "x")
    run = folder.confirmation.run("0123456789abcdef", 2)
    places = {
        folder.space_yaml: "space.yaml", folder.ledger: "ledger.sqlite", folder.best_yaml: "best.yaml",
        folder.preprocessing: "preprocessing.json", folder.report: "report.html",
        folder.outbox: "outbox.sqlite", folder.lock: "driver.lock",
        folder.tracking_log: "tracking.log", folder.tracking_lock: "tracking.lock",
        folder.weights(7): "trials/t0007/weights.safetensors", folder.model_yaml(7): "trials/t0007/model.yaml",
        folder.state(7, 3): "trials/t0007/state-3.safetensors",
        folder.confirmation.document: "confirm/confirm.json", folder.confirmation.best_yaml: "confirm/best.yaml",
        folder.confirmation.weights: "confirm/weights.safetensors",
        folder.random_search.ledger: "confirm/random/ledger.sqlite",
        run.model_yaml: "confirm/runs/0123456789abcdef-s2/model.yaml",
        run.weights: "confirm/runs/0123456789abcdef-s2/weights.safetensors",
        run.predictions: "confirm/runs/0123456789abcdef-s2/predictions.npz",
        run.result: "confirm/runs/0123456789abcdef-s2/result.json",
        run.checkpoint: "confirm/runs/0123456789abcdef-s2/checkpoint",
    }  # fmt: skip
    assert {path.relative_to(folder.path).as_posix() for path in places} == set(places.values())
    assert all(path == folder.path / name for path, name in places.items())
    assert folder.states(7) == []
    folder.make_trial(7)
    folder.state(7, 3).touch()
    assert folder.states(7) == [folder.state(7, 3)]


def test_a_file_is_read_up_to_its_limit_and_not_beyond(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "x").create()
    folder.write(folder.best_yaml, "12345")
    assert folder.read_bytes(folder.best_yaml, 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        folder.read_bytes(folder.best_yaml, 4)


def test_folders_that_cannot_be_used_are_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    full = tmp_path / "full"
    full.mkdir(mode=0o755)
    (full / "thesis.tex").touch()
    cases = {
        file: "not a folder",
        file / "below": "cannot be written",
        link: "a link",
        full: "holds other files",
        tmp_path / ("a" * 200): "a name that is too long",
        tmp_path / ("ü" * 70): "a name that is too long",
        Path("/".join([str(tmp_path), *["d" * 100] * 12])): "a path that is too long",
        tmp_path / "two\nlines": "is not a valid folder name",
        tmp_path / "b\x00": "is not a valid folder name",
        Path("/proc/nowhere"): "cannot be written",
    }
    for path, word in cases.items():
        with pytest.raises(InputError, match=word):
            ExperimentFolder(path).create()
    assert file.read_text() == "mine"
    assert full.stat().st_mode & 0o777 == 0o755
    assert {p.name for p in tmp_path.iterdir()} == {"file", "link", "full"}


def test_a_read_only_parent_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere; /proc stands for it in the test above")
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        ExperimentFolder(tmp_path / "search").create()
    tmp_path.chmod(0o700)


def test_a_folder_with_an_experiment_is_refused_with_the_way_on(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "search")
    fill.new(folder).close()
    with pytest.raises(InputError, match=r"(?s)already holds an experiment.*archsearch resume"):
        folder.create()


def test_experiments_are_found_by_name_and_by_path_or_the_others_are_named(tmp_path: Path) -> None:
    for name in ("resnet-small", "resnet-large"):
        fill.new(ExperimentFolder(tmp_path / name)).close()
    (tmp_path / "no-experiment").mkdir()
    assert find("resnet-small", tmp_path).path == tmp_path / "resnet-small"
    assert find(tmp_path / "resnet-large", Path("elsewhere")).path == tmp_path / "resnet-large"
    assert {f.name for f in list_experiments(tmp_path)} == {"resnet-small", "resnet-large"}
    assert list_experiments(tmp_path / "missing") == []
    with pytest.raises(InputError, match=r"(?s)resnet-large.*did you mean resnet-small\?"):
        find("resnet-smal", tmp_path)
    with pytest.raises(InputError, match="there are no experiments"):
        find("x", tmp_path / "missing")
    with pytest.raises(InputError):
        find("a\x00b", tmp_path)


def test_one_driver_and_its_death_frees_the_lock_at_once(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "search").create()
    assert not folder.is_driven()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder.path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert folder.is_driven()
        begin = time.monotonic()
        with pytest.raises(DriverRunning) as caught, folder.driver_lock():
            raise AssertionError("two drivers")
        assert time.monotonic() - begin < 20, "it waited"
        assert caught.value.pid == holder.pid and caught.value.host and caught.value.since <= time.time()
        holder.send_signal(signal.SIGKILL)
    assert not folder.is_driven()
    with folder.driver_lock():
        assert folder.is_driven()
        with pytest.raises(DriverRunning), folder.driver_lock():
            raise AssertionError("two drivers in one process")
    assert not folder.is_driven()


def test_looking_whether_it_is_driven_never_keeps_a_driver_out(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "search").create()
    look = (
        "import sys; from pathlib import Path; from archsearch.experiment import ExperimentFolder as F\n"
        "f = F(Path(sys.argv[1])); print('looking', flush=True)\nwhile True: f.is_driven()"
    )
    with subprocess.Popen([sys.executable, "-c", look, str(folder.path)], stdout=subprocess.PIPE) as looker:
        looker.stdout.readline()
        for _ in range(100):
            with folder.driver_lock():
                pass
        looker.kill()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "best.yaml"
    write_atomically(path, "größe: 1\n")
    write_atomically(path, b"second: 2\n")
    assert path.read_text() == "second: 2\n"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "folder", "x")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert {p.name for p in tmp_path.iterdir()} == {"best.yaml", "folder"}
    assert path.read_text() == "second: 2\n"


def test_the_ground_needs_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys, archsearch.experiment\n"
        "print([m for m in ('torch', 'ray', 'optuna', 'mlflow', 'pydantic', 'yaml', 'numpy') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_a_write_that_is_cut_off_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "file"
    write_atomically(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_numbered_paths_begin_with_the_path_itself(tmp_path: Path) -> None:
    paths = numbered(tmp_path / "digits")
    assert [next(paths).name for _ in range(3)] == ["digits", "digits-2", "digits-3"]
    assert next(paths).parent == tmp_path
