"""An experiment's folder: what lies where in it, who drives it, and finding it again."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from archsearch.experiment.file_systems import no_locks, refuse_object_store, refuse_without_locks
from archsearch.experiment.files import TEMPORARY, sweep, sync_folder, write_atomically
from archsearch.experiment.layout import (
    BEST,
    BEST_OF_SEARCH,
    MODEL,
    WEIGHTS,
    ConfirmationFolder,
    Inside,
    RetrainedFolder,
)
from archsearch.experiment.opening import open_inside, refuse_links
from archsearch.experiment.records import trial_id
from archsearch.experiment.suggested import command_of
from archsearch.reading.errors import refuse
from archsearch.reading.files import LARGEST_JSON
from archsearch.reading.nearest import did_you_mean

EXPERIMENTS = Path("experiments")
_LONGEST_NAME = 128  # bytes
_LONGEST_PATH = 1024  # bytes: well below the system's 4096, for the files of trials lie deeper
_LONGEST_TEXT = 2**26  # bytes
_MOST = 2**36  # bytes: of weights
_LEVELS = 5  # folders, at most, from a file in an experiment's folder up to that
_PATIENCE = 0.2  # seconds: `is_driven` holds the lock for microseconds, and must not look like a driver
_OURS = frozenset({"space.yaml", "driver.lock", "trials", "tracking.log", "arrays", "parents"})


class DriverRunning(RuntimeError):
    """Another driver holds the experiment. `pid` is 0 where it has not written its name yet."""

    def __init__(self, folder: Path, *, pid: int, host: str, since: float) -> None:
        when = time.strftime("%F %T", time.localtime(since))
        super().__init__(f"{folder} is in use by {f'process {pid} on {host} since {when}' if pid else 'another'}")
        self.folder, self.pid, self.host, self.since = folder, pid, host, since


@dataclass(frozen=True)
class ExperimentFolder:
    """The paths of an experiment's folder. Making one touches no disk; `create` does."""

    path: Path

    space_yaml = Inside("space.yaml")  # the search space, as resolved
    ledger = Inside("ledger.sqlite")  # the database that says what happened; `Ledger` reads and writes it
    best_yaml = Inside(BEST)  # the best architecture: the winner's
    best_of_search = Inside(BEST_OF_SEARCH)  # the search's own best, where another winner was chosen after it
    report = Inside("report.html")  # the search's report, one page
    lock = Inside("driver.lock")  # the driver holds a lock on it; it says who that is
    outbox = Inside("outbox.sqlite")  # the database that says how far tracking has followed the ledger
    tracking_log = Inside("tracking.log")  # what the tracking process prints
    tracking_lock = Inside("tracking.lock")  # held by the process that sends the experiment to MLflow: one at a time
    trials = Inside("trials")  # the folder of the trials' folders
    preprocessing = Inside("preprocessing.json")  # of the winner: how images are read and its probabilities calibrated
    arrays = Inside("arrays")  # the images, where they were given as arrays

    @property
    def name(self) -> str:
        """The folder's own name, by which `find` finds it."""
        return self.path.absolute().name

    @property
    def argument(self) -> str:
        """What is put for EXPERIMENT on the command line: its name, or where it is none that `find` knows its path."""
        path = self.path.absolute()  # a relative one may be the name of another
        return path.name if path.parent == EXPERIMENTS.absolute() else str(path)

    @property
    def confirmation(self) -> ConfirmationFolder:
        """What `archsearch confirm` wrote, whether it is there or not."""
        return ConfirmationFolder(self.path / "confirm")

    @property
    def finish(self) -> RetrainedFolder:
        """What was trained longer at the search's end, whether it is there or not."""
        return RetrainedFolder(self.path / "finish")

    @property
    def random_search(self) -> ExperimentFolder:
        """Random search at equal cost, which `archsearch confirm` made: an experiment of its own."""
        return ExperimentFolder(self.confirmation.path / "random")

    def trial(self, number: int) -> Path:
        """trials/t0001 for trial 1, whether it is there or not."""
        return self.trials / trial_id(number)

    def model_yaml(self, number: int) -> Path:
        """The architecture of a trial whose weights are kept."""
        return self.trial(number) / MODEL

    def weights(self, number: int) -> Path:
        """The weights of a trial: there for the best one, and for those on the Pareto front."""
        return self.trial(number) / WEIGHTS

    def state(self, number: int, epoch: int) -> Path:
        """The state of a trial's training after so many epochs."""
        return self.trial(number) / f"state-{epoch}.safetensors"

    def states(self, number: int) -> list[Path]:
        """The states of a trial's training that are on the disk."""
        return list(self.trial(number).glob("state-*.safetensors"))

    def refuse_if_unusable(self) -> None:
        """Raises InputError where `create` would. Writes nothing: before an hour of downloads."""
        self._check_name()
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_dir()):
            raise self._refusal("is a file or a link, not a folder", hint="choose another --output")
        refuse_object_store(self.path)
        try:
            if self.ledger.exists():
                hint = f"`{command_of(self, 'resume')}` continues it; another --output starts a new one"
                raise self._refusal("already holds an experiment", hint=hint)
            self.refuse_links()
            if self.path.exists() and any(not _is_ours(entry.name) for entry in self.path.iterdir()):
                allowed = "a new or an empty folder"
                raise self._refusal("holds other files", allowed=allowed, hint="choose another --output")
            existing = next(path for path in (self.path, *self.path.absolute().parents) if path.exists())
            if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
                raise self._unwritable(f"no write permission for {existing}")
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error

    def make_trial(self, number: int) -> Path:
        """trials/t0001 for trial 1, there and durable when it returns."""
        folder = self.trial(number)
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
        return folder

    def create(self) -> Self:
        """Makes the folder (0700), its parents and `trials/`. Raises InputError where it may not."""
        self.refuse_if_unusable()
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.chmod(0o700)
            self.trials.mkdir(exist_ok=True, mode=0o700)
            probe = self.path / f".{os.getpid()}.probe"  # root's mkdir may pass where writing does not
            refuse_without_locks(probe)
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error
        return self

    def refuse_links(self) -> None:
        """Raises InputError where something in the folder is a link, or no file: a folder that came from somebody else
        could lead a reader or a writer anywhere."""
        refuse_links(self.path)

    def open(self, path: Path, flags: int = os.O_RDONLY) -> int:
        """A descriptor of a file of the folder. Raises InputError for a link, or what is no file; OSError."""
        return open_inside(self.path, path, flags)

    def read_bytes(self, path: Path, limit: int = _MOST) -> bytes:
        """What a file of the folder holds. Raises as `open`, and OSError for more bytes than `limit`."""
        with os.fdopen(self.open(path), "rb") as file:
            if os.fstat(file.fileno()).st_size > limit:
                raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", str(path))
            return file.read()

    def read_json(self, path: Path) -> Any:
        """The JSON value of a file of the folder. Raises as `read_bytes`, and ValueError for what is none."""
        try:
            return json.loads(self.read_bytes(path, LARGEST_JSON))
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def read_text(self, path: Path) -> str:
        """The text of a file of the folder. Raises as `open`, and InputError for what is no UTF-8."""
        try:
            return self.read_bytes(path, _LONGEST_TEXT).decode()
        except UnicodeDecodeError as error:
            raise refuse("it is not UTF-8 text", file=str(path)) from error

    def read_weights(self, path: Path, sha256: str | None) -> bytes:
        """What a file of weights holds, which has this SHA-256 (None: it is not known). Raises as `open`, and
        InputError where it has another."""
        content = self.read_bytes(path)
        if sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise refuse("these are not the weights recorded in the ledger: their SHA-256 differs", file=str(path))
        return content

    def write(self, path: Path, content: str | bytes) -> None:
        """Writes a file of the folder, whole or not at all. Raises InputError for a link on the way, and OSError."""
        write_atomically(path, content, root=self.path)

    def sweep(self) -> None:
        """Removes what a killed driver left half written, for its next one, which holds the lock."""
        for folder in (self.path, *self.trials.glob("*")):
            sweep(folder)

    def is_driven(self) -> bool:
        """Whether a driver lives. Never blocks. The ledger cannot tell: a killed driver leaves `running`."""
        try:
            handle = self.open(self.lock)
        except FileNotFoundError:
            return False
        try:
            # Shared: two readers that look at the same time do not take each other for a driver.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    @contextmanager
    def driver_lock(self) -> Iterator[None]:
        """Held by one driver; the system frees it however that ends. Raises DriverRunning in a moment, and InputError
        where a link is in the folder.

        A process forked without exec would keep the lock alive: drivers start theirs with exec.
        """
        self.refuse_links()
        handle = self.open(self.lock, os.O_RDWR | os.O_CREAT)
        try:
            self._take(handle)
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(holder).encode(), 0)
            try:
                yield
            finally:
                # Only while it is still ours: the next holder's name must stay.
                with suppress(OSError):
                    os.ftruncate(handle, 0)
        finally:
            os.close(handle)

    def _take(self, handle: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.01)
            except OSError as error:
                raise (no_locks(error, self.lock) or error) from error
        try:
            holder = self.read_json(self.lock)
            raise DriverRunning(self.path, pid=int(holder["pid"]), host=str(holder["host"]), since=holder["since"])
        except (ValueError, KeyError, TypeError, OverflowError, OSError):
            raise DriverRunning(self.path, pid=0, host="", since=0.0) from None

    def _check_name(self) -> None:
        if not str(self.path).isprintable() or not self.name:
            raise self._refusal("is not a valid folder name", allowed="printable characters")
        if len(os.fsencode(self.name)) > _LONGEST_NAME:
            raise self._refusal("has a name that is too long", allowed=f"{_LONGEST_NAME} bytes")
        if len(os.fsencode(self.path.absolute())) > _LONGEST_PATH:
            raise self._refusal("is a path that is too long", allowed=f"{_LONGEST_PATH} bytes")

    def _unwritable(self, problem: str) -> Exception:
        return self._refusal(f"cannot be written: {problem}", hint="choose another --output")

    def _refusal(self, problem: str, *, allowed: str = "", hint: str = "") -> Exception:
        path = str(self.path)
        if not path.isprintable():
            path = path.encode("unicode_escape").decode()
        return refuse(f"the folder {path} {problem}", allowed=allowed, hint=hint, file="--output")


def _is_ours(name: str) -> bool:
    """Whether it is of a kind that a crash before the ledger was made may leave."""
    return name in _OURS or (name.startswith(".") and name.endswith(TEMPORARY))


def list_experiments(root: Path = EXPERIMENTS) -> list[ExperimentFolder]:
    """The experiments right below `root`, the newest first."""
    try:
        folders = [folder for folder in map(ExperimentFolder, root.iterdir()) if folder.ledger.is_file()]
        return sorted(folders, key=lambda folder: folder.ledger.stat().st_mtime, reverse=True)
    except OSError:
        return []


def find(name_or_path: str | Path, root: Path = EXPERIMENTS) -> ExperimentFolder:
    """The experiment of that name below `root`, or at that path. The InputError says what there is, or that a link is
    in its folder."""
    name = str(name_or_path)
    for folder in (ExperimentFolder(root / name), ExperimentFolder(Path(name))):
        there = False
        with suppress(OSError, ValueError):
            there = folder.ledger.is_file()
        if there:
            folder.refuse_links()
            return folder
    names = [folder.name for folder in list_experiments(root)]
    listed = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    allowed = listed or f"a folder with a ledger (there are no experiments in {root})"
    raise refuse(f"no experiment {name!r}", allowed=allowed, hint=did_you_mean(name, names), file="EXPERIMENT")


def refuse_links_around(path: Path) -> None:
    """Raises InputError where a file of an experiment's folder is named, and a link is in that folder."""
    for parent in list(path.absolute().parents)[:_LEVELS]:
        folder = ExperimentFolder(parent)
        if os.path.lexists(folder.ledger):
            folder.refuse_links()
