"""What lies in an experiment's folder is never reached through a link, by whichever verb."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from archsearch.cli import main
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.folder import refuse_links_around
from archsearch.experiment.opening import folder_inside, open_inside
from archsearch.reading.errors import InputError
from archsearch.tracking.outbox import Outbox
from tests.experiment import fill
from tests.faults.driving import drive, new
from tests.faults.invariants import check_words

FILES = (
    "driver.lock", "outbox.sqlite", "outbox.sqlite-wal", "outbox.sqlite-journal", "tracking.log", "tracking.lock",
    "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite-journal", "ledger.count", "best.yaml",
    "report.html", "space.yaml", "trials", "trials/t0001", "trials/t0001/weights.safetensors",
    "trials/t0001/state-1.safetensors", "confirm", "confirm/confirm.json", "confirm/best.yaml",
    "confirm/weights.safetensors", "confirm/runs", "confirm/runs/0123456789abcdef-s1/result.json",
    "confirm/random/ledger.sqlite", "confirm/random/trials/t0001/weights.safetensors",
)  # fmt: skip
PRECIOUS = "ssh-ed25519 PRECIOUS"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    folder = new(tmp_path_factory.mktemp("searched"))
    drive(folder)
    return folder


def copied(folder: ExperimentFolder, place: Path) -> ExperimentFolder:
    import shutil

    return ExperimentFolder(Path(shutil.copytree(folder.path, place / "x")))


def put(kind: str, path: Path, target: Path) -> None:
    """A link, or what is no file, in the place of `path`."""
    import shutil

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    match kind:
        case "symbolic":
            path.symlink_to(target)
        case "dangling":
            path.symlink_to(target.with_name("not-there"))
        case "hard":
            os.link(target, path)
        case "pipe":
            os.mkfifo(path)


def contents(place: Path) -> dict[str, object]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes() if path.is_file() else None for path in place.rglob("*")
    }


def verbs(folder: ExperimentFolder, place: Path) -> list[list[str]]:
    """Each verb that is given an experiment, or a file of one."""
    name, other = str(folder.path), str(place / "elsewhere.html")
    return [
        ["status", name], ["resume", name], ["sync", name], ["ui", name], ["report", name, "-o", other],
        ["export", name], ["confirm", name], ["compare", name, name],
        ["run", str(folder.space_yaml), "--dry-run"], ["run", str(folder.space_yaml), "--output", name],
        ["train", str(folder.best_yaml), "--data", "digits"],
        ["export", "resnet8_cifar", "--weights", str(folder.weights(1)), "--format", "python", "-o", f"{other}.py"],
        ["profile", str(folder.best_yaml)],
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["symbolic", "dangling", "hard", "pipe"])
@pytest.mark.parametrize("file", FILES)
def test_it_is_refused_before_anything_is_opened(
    searched: ExperimentFolder, tmp_path: Path, file: str, kind: str
) -> None:
    folder = copied(searched, tmp_path)
    target = tmp_path / "precious"
    target.write_text(PRECIOUS)
    put(kind, folder.path / file, target)
    with pytest.raises(InputError, match=r"link|no file|neither a file"):
        folder.refuse_links()
    with pytest.raises(InputError, match=r"link|no file|neither a file"), folder.driver_lock():
        pass
    with pytest.raises(InputError):
        Ledger.read(folder.ledger)
    with pytest.raises(InputError):
        Ledger.open(folder.ledger)
    with pytest.raises(InputError):
        Outbox(folder.outbox, "sqlite:///m.db")
    assert target.read_text() == PRECIOUS and not (tmp_path / "not-there").exists()


@pytest.mark.parametrize("file", ["driver.lock", "outbox.sqlite", "best.yaml", "trials/t0001", "confirm/best.yaml"])
def test_every_verb_refuses_and_writes_nothing(
    searched: ExperimentFolder, tmp_path: Path, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(searched, tmp_path)
    target = tmp_path / "precious"
    target.write_text(PRECIOUS)
    put("symbolic", folder.path / file, target)
    before = contents(tmp_path)
    for words in verbs(folder, tmp_path):
        code = main(words)
        said = capsys.readouterr()
        check_words(code, said.err, allowed={2})
        assert PRECIOUS not in said.out + said.err
        assert contents(tmp_path) == before, words


def test_a_file_is_opened_folder_by_folder(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "x", tmp_path / "elsewhere"
    (folder / "trials").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "weights").write_text(PRECIOUS)
    (folder / "trials" / "t0001").symlink_to(elsewhere)
    for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT):
        with pytest.raises(InputError, match="t0001 is a symbolic link"):
            open_inside(folder, folder / "trials" / "t0001" / "weights", flags)
    with pytest.raises(ValueError, match="subpath"), folder_inside(folder, elsewhere):
        pass
    with pytest.raises(FileNotFoundError):
        open_inside(folder, folder / "trials" / "t0002" / "weights")
    (tmp_path / "by-name").symlink_to(folder)  # its folder may be named by way of links: that is the person's own doing
    (folder / "best.yaml").write_text("mine")
    os.close(open_inside(tmp_path / "by-name", tmp_path / "by-name" / "best.yaml"))


def test_files_beside_no_ledger_may_be_links(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "a.yaml")
    refuse_links_around(tmp_path / "b.yaml")


def test_a_lock_of_nonsense_names_nobody(tmp_path: Path) -> None:
    from archsearch.experiment import DriverRunning

    folder = ExperimentFolder(tmp_path / "x")
    with fill.new(folder), folder.driver_lock():
        for text in ("", "[", "{}", '{"pid": "x", "host": 1, "since": 1e300}', '{"pid": 1, "host": 2, "since": "x"}'):
            folder.lock.write_text(text)
            with pytest.raises(DriverRunning) as caught, folder.driver_lock():
                pass
            assert caught.value.pid == 0
