"""A trial goes on in the middle: from its last whole state, and to the same end, bit for bit."""

import errno
import hashlib
from pathlib import Path

import pytest

from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder, Ledger, State
from archsearch.search.deciding.messages import EpochTrained, Ready
from archsearch.search.deciding.rungs import Rungs
from archsearch.search.deciding.search import Search
from archsearch.search.deciding.states import DROPPED, States
from archsearch.search.running.worker import TrialWorker
from archsearch.search.session import clear_away
from tests.experiment import fill
from tests.search.local import Silent, drive_locally, tiny
from tests.search.test_search import story

# No rungs, so that nothing but checkpoints can save an epoch; everything that draws.
WORDS = (
    "search.early_stopping={kind: none}",
    "search.trials=2",
    "training.epochs=5",
    "training.crop_padding=1",
    "training.cutout=2",
    "training.mixup=0.2",
    "training.ema=0.9",
    "space.survival={schedule: linear, last: 0.5}",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    space, folder = tiny(tmp_path_factory.mktemp("whole"), *WORDS)
    drive_locally(space, folder)
    return folder


def states(folder: ExperimentFolder) -> list[Path]:
    return sorted(folder.path.glob("trials/*/state-*.safetensors"))


def begun(folder: ExperimentFolder) -> list[int]:
    """After how many epochs the attempts of all trials began."""
    with Ledger.read(folder.ledger) as ledger:
        return [event.data["resume_epoch"] for event in ledger.events_of("started")]


@pytest.mark.parametrize(("reports", "shared"), [(2, False), (3, True), (8, False), (9, True)])
def test_killed_in_the_middle_it_trains_no_epoch_twice_and_ends_the_same(
    whole: ExperimentFolder, tmp_path: Path, reports: int, shared: bool
) -> None:
    space, folder = tiny(tmp_path, *WORDS)
    drive_locally(space, folder, reports=reports, save_every=0.0, shared=shared)
    assert 1 <= len(states(folder)) <= 2
    drive_locally(space, folder, save_every=0.0, shared=shared)
    assert story(folder) == story(whole)
    with Ledger.read(folder.ledger) as ledger:
        trained = [(event.trial, event.data["epoch"]) for event in ledger.events_of("epoch")]
    assert len(trained) == len(set(trained)) == 10
    assert max(begun(folder)) > 1
    assert not states(folder), "a state outlived its trial"


def harmed(path: Path, harm: str) -> None:
    data = path.read_bytes()
    match harm:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "changed":
            path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])


@pytest.mark.parametrize("harm", ["missing", "empty", "cut", "changed"])
def test_of_a_damaged_state_the_one_before_is_taken(whole: ExperimentFolder, tmp_path: Path, harm: str) -> None:
    space, folder = tiny(tmp_path, *WORDS)
    drive_locally(space, folder, reports=4, save_every=0.0)
    assert [path.name for path in states(folder)] == ["state-3.safetensors", "state-4.safetensors"]
    harmed(states(folder)[1], harm)
    drive_locally(space, folder, save_every=0.0)
    assert begun(folder) == [0, 3, 0]
    assert story(folder) == story(whole)
    with Ledger.read(folder.ledger) as ledger:
        assert [event.data for event in ledger.events_of("state_lost")] == [
            {"epoch": 4, "reason": "missing or damaged"}
        ]


def test_a_worker_that_shares_the_disk_says_that_a_state_is_damaged(whole: ExperimentFolder, tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, *WORDS)
    drive_locally(space, folder, reports=4, save_every=0.0, shared=True)
    harmed(states(folder)[1], "changed")
    drive_locally(space, folder, save_every=0.0, shared=True)
    assert begun(folder) == [0, 4, 3, 0]
    assert story(folder) == story(whole)
    with Ledger.read(folder.ledger) as ledger:
        assert [event.data for event in ledger.events_of("state_lost")] == [
            {"epoch": 4, "reason": "missing or damaged"}
        ]


def test_a_worker_that_shares_the_disk_sends_no_bytes_unless_it_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, folder = tiny(tmp_path, *WORDS)
    worker = TrialWorker(load_images(space.data), space.training, threads=1, save_every=0.0, folder=folder)
    with Ledger.open(folder.ledger) as ledger:
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent(), shares_disk=True)
        first = worker.carry_out(search.respond(Ready()))
        assert isinstance(first, EpochTrained) and isinstance(first.state, State)
        assert first.state.digest == hashlib.sha256(states(folder)[0].read_bytes()).hexdigest()

        def full(*arguments: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        order = search.respond(first)
        monkeypatch.setattr(ExperimentFolder, "write", full)
        second = worker.carry_out(order)
        assert isinstance(second, EpochTrained) and isinstance(second.state, bytes)
        with pytest.raises(OSError, match="No space left"):
            search.respond(second)


def test_where_both_are_damaged_it_begins_anew(whole: ExperimentFolder, tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, *WORDS)
    drive_locally(space, folder, reports=4, save_every=0.0)
    for path in states(folder):
        harmed(path, "changed")
    drive_locally(space, folder, save_every=0.0)
    assert begun(folder) == [0, 0, 0]
    assert story(folder) == story(whole)


def test_no_state_is_made_before_it_is_time(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, *WORDS)
    drive_locally(space, folder, reports=4, save_every=1000.0)
    assert not states(folder)


def test_what_a_killed_driver_left_is_swept_away(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, *WORDS)
    drive_locally(space, folder, reports=4, save_every=0.0)
    known = states(folder)
    place = folder.trial(1)
    (place / "state-9.safetensors").write_bytes(b"written, and the driver was killed before the ledger knew")
    (place / f".{'0' * 32}.tmp").write_bytes(b"half")
    (place / "notes.txt").write_text("somebody's own")
    with Ledger.open(folder.ledger) as ledger:
        clear_away(space, folder, ledger)
    assert sorted(place.iterdir()) == sorted([*known, place / "notes.txt"])


def test_the_states_of_trials_that_can_no_longer_go_on_are_dropped(tmp_path: Path) -> None:
    """At most half of a rung is ever promoted: of 8 trials, 4 of the first rung."""
    space, folder = tiny(tmp_path, "search.trials=8", "training.epochs=2", "data.limit=100")
    seen = 0
    while True:
        drive_locally(space, folder, reports=3)
        with Ledger.read(folder.ledger) as ledger:
            paused = [trial for trial in ledger.trials() if trial.state == "paused"]
            kept = [trial for trial in paused if (folder.trial(trial.number) / "state-1.safetensors").is_file()]
            dropped = [trial.value for trial in paused if trial not in kept]
            assert len(kept) <= 4
            assert not dropped or not kept or max(dropped) <= min(trial.value for trial in kept)
            seen = max(seen, len(dropped))
            if ledger.counts().ended == 8:
                break
    assert seen, "nothing was ever dropped"
    with Ledger.read(folder.ledger) as ledger:
        assert not ledger.events_of("state_lost"), "a state was dropped that was needed"


def test_without_room_for_states_promoted_trials_begin_again_and_the_search_is_the_same(tmp_path: Path) -> None:
    words = ("search.trials=6", "training.epochs=3", "data.limit=100")
    folders = []
    for name, limit in (("whole", "auto"), ("without", "1")):
        (tmp_path / name).mkdir()
        space, folder = tiny(tmp_path / name, *words, f"search.states={limit}")
        drive_locally(space, folder, shared=True)
        folders.append(folder)
    assert story(folders[0]) == story(folders[1])
    with Ledger.read(folders[1].ledger) as ledger:
        assert ledger.counts().ended == 6 and ledger.events_of(DROPPED)
        lost = {event.trial: event.data["reason"] for event in ledger.events_of("state_lost")}
        assert set(lost.values()) == {"search.states: there was no room for it"}
        assert max(begun(folders[0])) > 0
        assert not any(event.data["resume_epoch"] for event in ledger.events_of("started") if event.trial in lost)


def test_the_least_promising_of_the_paused_lose_their_states_first(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "x")
    scores = {1: 0.5, 2: 0.1, 3: 0.9, 4: 0.3, 5: 0.7}
    with fill.new(folder) as ledger:
        rungs = Rungs(grace=1, reduction=2, epochs=4)
        states = States(folder, ledger, 450)
        for number, score in scores.items():
            fill.propose(ledger, number)
            ledger.start(number)
            with ledger.transaction():
                digest = states.take(number, 1, bytes(100))
                ledger.epoch(number, 1, {"validation_accuracy": score})
                ledger.state_kept(number, 1, digest)
                ledger.pause(number, score, rung=1)
                rungs.record(number, 1, score)
                states.keep_within_limit(rungs.least_promising)
        assert [event.trial for event in ledger.events_of(DROPPED)] == [2]
        rungs.promote(4, 1)  # it trains: its state stays, though others score higher
        again = States(folder, ledger, 250)
        with ledger.transaction():
            again.keep_within_limit(rungs.least_promising)
            assert folder.states(1), "before the ledger is durable nothing is deleted"
        assert [event.trial for event in ledger.events_of(DROPPED)] == [2, 1, 5]
        assert [number for number in scores if folder.states(number)] == [3, 4]
        assert again.latest(ledger.trial(5)) == (0, None)


def test_of_a_paused_trial_the_state_before_the_last_goes_first(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "x")
    with fill.new(folder) as ledger:
        rungs = Rungs(grace=1, reduction=2, epochs=4)
        states = States(folder, ledger, 450)
        for number, last in ((1, 2), (2, 1), (3, 2)):
            fill.propose(ledger, number)
            ledger.start(number)
            with ledger.transaction():
                for epoch in range(1, last + 1):
                    ledger.epoch(number, epoch, {"validation_accuracy": 0.5})
                    ledger.state_kept(number, epoch, states.take(number, epoch, bytes(100)))
                ledger.pause(number, 0.1 * number, rung=last)
                rungs.record(number, last, 0.1 * number)
                states.keep_within_limit(rungs.least_promising)
        assert [(event.trial, event.data) for event in ledger.events_of(DROPPED)] == [(1, {"epoch": 1, "bytes": 100})]
        assert [path.name for path in folder.states(1)] == ["state-2.safetensors"]
        assert len(folder.states(2)) == 1 and len(folder.states(3)) == 2
