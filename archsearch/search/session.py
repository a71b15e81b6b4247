"""One driver's session: lock, ledger, tracking, data, Ray, and an honest end whatever happens."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from archsearch.architecture.spec import Architecture
from archsearch.data.recorded import images_record, refuse_other_images
from archsearch.experiment import ExperimentFolder, Ledger, crash_point
from archsearch.experiment.remarks import FLOOR
from archsearch.experiment.suggested import command_of
from archsearch.experiment.summary import EXPERIENCE, summarise
from archsearch.experiment.winner import winner_of
from archsearch.reading.packages import refuse_without
from archsearch.search.agreement import KEY, refuse_another_metric, refuse_if_changed, set_trials
from archsearch.search.deciding.failures import no_winner
from archsearch.search.deciding.states import States
from archsearch.search.deciding.weights import KeptWeights
from archsearch.search.proposing.first import First, note_first
from archsearch.search.running.environment import circumstances, prepare
from archsearch.search.running.interrupts import interruptible
from archsearch.shrinking.kept import KeptParent, keep, kept_parents
from archsearch.space.datasets import DataFacts
from archsearch.space.loading import load_space
from archsearch.space.optimization_settings import PARENT
from archsearch.space.overrides import kept_text, root_overrides
from archsearch.space.space import SearchSpace
from archsearch.tracking import Standing, drain, resolve_tracking_uri, start_follower
from archsearch.version import __version__

if TYPE_CHECKING:
    from archsearch.data.images import ImageSet
    from archsearch.search.deciding.observer import Observer
    from archsearch.search.proposing.experience import Learnt
    from archsearch.search.proposing.warm_start import Carried
    from archsearch.search.running.lanes import NodePool

FLOOR_PATIENCE = 60.0  # seconds that a search waits at its end for simple models, which began with it
DRAIN, DRAIN_INTERRUPTED = 60.0, 10.0  # seconds for MLflow's last rows; who presses Ctrl-C wants to leave


def abandon(message: str) -> NoReturn:
    """Ends the process at once with exit code 1 and this message: the ledger is whole at any moment."""
    print(f"archsearch: {message}", file=sys.stderr, flush=True)
    os._exit(1)


class Finishing(Protocol):
    """What follows a search at its end, before its winner is tested."""

    def begun(self, ledger: Ledger) -> bool:
        """Whether it has begun, and not ended."""

    def pays(self, space: SearchSpace, ledger: Ledger) -> bool:
        """Whether there is something to be done."""

    def carry_out(
        self, space: SearchSpace, folder: ExperimentFolder, ledger: Ledger, images: ImageSet, observer: Observer
    ) -> None:
        """Does it, and tests the winner."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """How a search is run: `address` of a running Ray (None: one of its own), to whose nodes this archsearch is sent
    where `runtime_env` says so, where MLflow is (None: the default), and the images, where somebody has loaded them
    already. Without `test` nobody looks at the test split. With `force` the search goes on though its space.yaml was
    changed. `root` is where its data lies now (None: where its space.yaml says), `trials` how many there are to be in
    all (None: as before). `finishing` follows the search (None: nothing does). `abandon` ends the process where a
    cluster's head is gone and Ray lets nothing else be done; it is told why."""

    folder: ExperimentFolder
    address: str | None = None
    runtime_env: bool = False
    tracking_uri: str | None = None
    images: ImageSet | None = None
    test: bool = True
    force: bool = False
    root: Path | None = None
    trials: int | None = None
    finishing: Finishing | None = None
    abandon: Callable[[str], object] = abandon
    followers: list[Popen[bytes]] = field(default_factory=list)


def create(
    space: SearchSpace,
    folder: ExperimentFolder,
    *,
    name: str,
    carried: Carried | None = None,
    learnt: Learnt | None = None,
    label: str | None = None,
    parents: tuple[KeptParent, ...] = (),
    first: tuple[First, ...] = (),
) -> None:
    """The folder with the space as resolved, and a ledger with what came before: parents, a warm start, what was learnt
    and what comes first. MLflow prefixes trials with the `label`. Raises InputError, also for missing packages."""
    refuse_without("ray", "optuna", "mlflow", "scipy", "sklearn", "threadpoolctl")
    folder.create()
    text = kept_text(space)
    folder.write(folder.space_yaml, text)
    crash_point("space-written")
    meta = {
        "name": name,
        "space": space.name,
        "trials": space.search.trials,
        "seed": space.search.seed,
        "objectives": dict(space.search.objectives),
        "metric": space.search.objective.to_dict(),
        "archsearch": __version__,
        KEY: text,
        **({"label": label} if label else {}),
    }
    with Ledger.create(folder.ledger, meta) as ledger:
        if carried is not None:
            ledger.note("warm_start", carried.to_data())
        if learnt is not None:
            ledger.note(EXPERIENCE, learnt.to_data())
        keep(parents, folder, ledger)
        note_first(first, ledger)


def drive(session: Session, observer: Observer) -> dict[str, Any]:
    """Runs or goes on with the folder's search until it ends, as the observer is told; the summary of `summarise`.

    Raises DriverRunning where another driver holds the experiment, InputError for data that cannot be had and
    for a space that was changed, and KeyboardInterrupt once what ran is saved for `resume`.
    """
    with session.folder.driver_lock():
        space = load_space(session.folder.space_yaml, root_overrides(session.root))
        with Ledger.open(session.folder.ledger) as ledger:
            more = session.trials is not None
            refuse_if_changed(
                session.folder, ledger, trials=space.search.trials, force=session.force, other_trials=more
            )
            if session.trials is not None:
                set_trials(session.folder, ledger, session.trials)
                space = load_space(session.folder.space_yaml, root_overrides(session.root))
            refuse_another_metric(session.folder, ledger, space.search.objective)
            clear_away(space, session.folder, ledger)
            _search(session, space, ledger, observer)
    return summarise(session.folder)


def _images(session: Session, space: SearchSpace) -> ImageSet:
    """The images. Raises InputError, as where the space names a teacher that cannot teach them."""
    from archsearch.data.datasets import load_images

    images = session.images or load_images(space.data)
    if space.training.teacher not in (None, PARENT):
        from archsearch.training.teaching import trained

        trained(space.training.teacher, images)
    return images


def _search(session: Session, space: SearchSpace, ledger: Ledger, observer: Observer) -> None:
    """Runs the search, with Ray and MLflow around it. The imports are here because each costs seconds, and bad input
    should not wait for them."""
    from archsearch.analysis.floor import FloorInBackground

    observer.phase(f"loading {space.data.name}")
    images = _images(session, space)
    if ledger.last_session() is not None:
        again = command_of(session.folder, "resume", "--force")
        hint = f"put the images back, or give their folder: --root DIR; `{again}` continues anyway"
        note = refuse_other_images(ledger, images, hint=hint, file=space.data.root, force=session.force)
        if note:
            observer.phase(f"note: {note}")
    ledger.begin({**images_record(images), **circumstances(), **Standing.of(session.folder.ledger).to_dict()})
    measured = ledger.events_of(FLOOR) or not session.test
    floor = None if measured else FloorInBackground(images, metric=ledger.objective.name)
    finishing = session.finishing
    with _ends(session, ledger, observer), _terminable():
        if finishing is not None and session.trials is None and finishing.begun(ledger):  # nothing else remains
            _follow(session)
            finishing.carry_out(space, session.folder, ledger, images, observer)
            _end(ledger, "")
            return
        observer.phase("starting Ray")
        prepare(session.address)
        from archsearch.data.streaming import some_files
        from archsearch.search.running.allotment import settle
        from archsearch.search.running.cluster import cluster
        from archsearch.search.running.nodes import lanes_on
        from archsearch.search.running.prestart import warm_up

        with ExitStack() as stack:
            stack.enter_context(cluster(session.address, object_bytes=images.nbytes, ship=session.runtime_env))
            stack.enter_context(_terminable())
            pool = _node_pool(session, images, observer)
            stack.callback(pool.stop)
            resources = settle(space, images.nbytes, pool.admitted(), ledger, owned=session.address is None,
                               tell=observer.phase, reads_files=bool(some_files(images)))  # fmt: skip
            observer.phase("starting the workers")
            if session.address is None:
                warm_up(resources, lanes_on(pool.admitted(), resources, space.search.trials))
            from archsearch.search.deciding.search import Search
            from archsearch.search.running.executor import run_trials

            search = Search(
                space=space,
                folder=session.folder,
                ledger=ledger,
                observer=observer,
                test=session.test,
                shares_disk=session.address is None,
                parents=kept_parents(session.folder, ledger),
                goes_on=lambda: finishing is not None and finishing.pays(space, ledger),
            )
            try:
                run_trials(search, images, resources, pool, workers_are_up=lambda: _follow(session))
            except BaseException:
                search.interrupted()
                raise
            if floor is not None:
                floor.then(lambda measured: ledger.note(FLOOR, measured.to_dict()), patience=FLOOR_PATIENCE)
            if not search.hands_on:
                _end(ledger, search.gave_up)  # MLflow ends while Ray does
                return
        assert finishing is not None, "only that goes on"
        finishing.carry_out(space, session.folder, ledger, images, observer)  # once Ray has given the machine back
        _end(ledger, "")


def _node_pool(session: Session, images: ImageSet, observer: Observer) -> NodePool:
    """The nodes that get trials. Raises InputError where one of a cluster's runs other versions than this process."""
    from archsearch.data.streaming import some_files
    from archsearch.search.running.nodes import ClusterNodes, OwnNode

    if session.address is None:
        return OwnNode()
    observer.phase("comparing the nodes' versions")
    nodes = ClusterNodes(some_files(images), tell=observer.phase, abandon=session.abandon)
    nodes.compare()
    return nodes


def _end(ledger: Ledger, gave_up: str) -> None:
    """Writes how the search ended: without a trained network it has failed, and the ledger says why."""
    if ledger.best():
        ledger.end("finished")
        return
    ledger.end("failed", {"reason": gave_up or no_winner(ledger)})


def _follow(session: Session) -> None:
    """Starts the process that follows the ledger with MLflow, once the workers are up: its import takes seconds of
    CPU."""
    session.followers.append(start_follower(session.folder, resolve_tracking_uri(session.tracking_uri)))


@contextmanager
def _ends(session: Session, ledger: Ledger, observer: Observer) -> Iterator[None]:
    """At the end of the block the session's end is written to the ledger, and MLflow follows: what it cannot take in
    time is sent later, by `sync`, or by the next `resume` or `ui`."""
    patience = DRAIN
    try:
        yield
    except KeyboardInterrupt:
        patience = DRAIN_INTERRUPTED
        ledger.end("interrupted")
        raise
    except BaseException as error:
        ledger.end("failed", {"reason": f"{type(error).__name__}: {error}"[:500]})
        raise
    finally:
        if ledger.total and not session.followers:
            _follow(session)
        observer.phase("sending the rest to MLflow")
        for follower in session.followers:
            drain(follower, timeout=patience)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM is taken like one Ctrl-C. Ray takes the signal for itself when it starts, so it is said again then."""
    try:
        with interruptible(signal.SIGTERM):
            yield
    except SystemExit as leaving:  # Ray's answer to the signal, from when it has taken it until it has started
        if leaving.code != signal.SIGTERM:
            raise
        raise KeyboardInterrupt from leaving


def complete(folder: ExperimentFolder) -> None:
    """Does what a driver that was killed after a search's end has left undone: what `clear_away` does, and best.yaml
    where it is missing. Writes nothing to the ledger. Raises DriverRunning, InputError, and OSError where the folder
    cannot be written."""
    with folder.driver_lock(), Ledger.read(folder.ledger) as ledger:
        if (best := winner_of(folder, ledger)) is None:
            return
        network = Architecture.from_dict(dict(best.trial.architecture))
        space = load_space(folder.space_yaml, data=DataFacts(input=network.input, classes=network.classes, task=None))
        clear_away(space, folder, ledger)
        if not folder.best_yaml.is_file():
            KeptWeights(space, folder, ledger).describe(best)


def clear_away(space: SearchSpace, folder: ExperimentFolder, ledger: Ledger) -> None:
    """Deletes half-written files, states of trials that have ended or that the ledger does not know, weights of trials
    that were beaten. For a driver that holds the lock, before its search begins."""
    folder.sweep()
    states = States(folder, ledger, limit=None)
    for trial in ledger.trials():
        if folder.trial(trial.number).is_dir():
            (states.drop if trial.state.ended else states.tidy)(trial.number)
    KeptWeights(space, folder, ledger).tidy()
