"""`status --watch` shows what `run` shows: the same trials, the same clock, the same pace."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archsearch.api.driving import Audience, drive_shown
from archsearch.api.showing.board import Board
from archsearch.cli.showing import following
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.steady import steady
from archsearch.search.deciding.observer import Observer
from archsearch.search.session import Session
from tests.search.local import drive_locally, tiny

EARLIER = 75.0  # seconds of a session before


def watched(folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch, look: Callable[[], object]) -> Board:
    """The board of a `status --watch` that begins now; `look` is called once it has caught up."""
    boards: list[Board] = []

    @contextmanager
    def watching(board: Board) -> Iterator[Board]:
        boards.append(board)
        yield board

    def sleep(_: float) -> None:
        look()
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "watching", watching)
    following.follow(folder, sleep=sleep)
    return boards[0]


@pytest.mark.parametrize("reports", [1, 3, 8, 15])
def test_run_and_watch_show_the_same_at_any_moment(reports: int, tmp_path: Path, monkeypatch) -> None:
    space, folder = tiny(tmp_path, "search.wall_time=1h")
    with Ledger.open(folder.ledger) as ledger:
        now = steady()
        for act, time in ((ledger.begin, now - 500), (lambda: ledger.end("interrupted"), now - 500 + EARLIER)):
            ledger._clock = lambda time=time: time
            act()
    with Ledger.read(folder.ledger) as ledger:
        run = Board.of(folder, ledger, space.search, epochs=space.training.epochs)
    assert run.elapsed == EARLIER, "of the sessions before: this one has not begun"
    with folder.driver_lock():
        with Ledger.open(folder.ledger) as ledger:
            ledger._clock = lambda: now - 30
            ledger.begin()
        run.phase("starting Ray")
        assert run.elapsed == pytest.approx(EARLIER + 30, abs=5)
        drive_locally(space, folder, reports=reports, observer=run)
        views = []
        watch = watched(folder, monkeypatch, lambda: views.append(seen(run)))
        assert seen(watch) == views[0]
        assert watch.elapsed == pytest.approx(run.elapsed, abs=0.1)
        assert (watch.pace is None) == (run.pace is None)
        if run.pace is not None:
            assert watch.pace == pytest.approx(run.pace, rel=0.2)
        assert watch.remaining == pytest.approx(run.remaining, rel=0.2)
        with Ledger.open(folder.ledger) as ledger:
            ledger.end("interrupted")
        run.phase("writing the rest to MLflow")
        ended = watched(folder, monkeypatch, lambda: None)
        with Ledger.read(folder.ledger) as ledger:
            assert run.elapsed == ended.elapsed == ledger.driven_seconds(), "their clocks stand: the search has ended"
    alone = watched(folder, monkeypatch, lambda: None)
    with Ledger.read(folder.ledger) as ledger:
        assert alone.elapsed == ledger.driven_seconds(), "nobody drives it: its clock stands"


def seen(board: Board) -> tuple[object, ...]:
    changes = [(event.change, event.trial) for event in board.newest(20)]
    progress = board.progress.partition(" in ")[0]
    return (board.counts, progress, board.best_so_far, board.rungs, board.epochs, changes, list(board.metrics))


def test_watch_begins_while_the_driver_still_reads_the_images(tmp_path: Path, monkeypatch) -> None:
    _, folder = tiny(tmp_path)
    with folder.driver_lock():

        def begins() -> None:
            with Ledger.open(folder.ledger) as ledger:
                ledger._clock = lambda: steady() - 20
                ledger.begin({"pid": os.getpid()})

        before = watched(folder, monkeypatch, begins)
        assert before.elapsed == 0
        assert watched(folder, monkeypatch, lambda: None).elapsed == pytest.approx(20, abs=5)


def test_ctrl_c_leaves_with_the_best_so_far(tmp_path: Path, capsys, monkeypatch) -> None:
    space, folder = tiny(tmp_path)

    def interrupted(session: Session, observer: Observer) -> None:
        drive_locally(space, session.folder, reports=1, observer=observer)
        raise KeyboardInterrupt

    monkeypatch.setattr("archsearch.api.driving.drive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        drive_shown(space, Session(folder=folder), Audience(), go_on="archsearch resume tiny")
    with Ledger.read(folder.ledger) as ledger:
        (epoch,) = ledger.epochs()
    accuracy = f"{100 * epoch.metrics['validation_accuracy']:.2f} %"
    said = f"archsearch: interrupted and saved; best so far t0001 {accuracy} at epoch 1 of 3; continue with:\n"
    assert said + "  archsearch resume tiny\n" in capsys.readouterr().err
