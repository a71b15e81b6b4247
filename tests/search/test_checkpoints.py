"""A trial goes on in the middle: from its last whole state, and to the same end, bit for bit."""

from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.session import clear_away
from tests.search.local import drive_locally, tiny
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


@pytest.mark.parametrize("reports", [2, 3, 8, 9])
def test_killed_in_the_middle_it_trains_no_epoch_twice_and_ends_the_same(
    whole: ExperimentFolder, tmp_path: Path, reports: int
) -> None:
    space, folder = tiny(tmp_path, *WORDS)
    drive_locally(space, folder, reports=reports, save_every=0.0)
    assert 1 <= len(states(folder)) <= 2
    drive_locally(space, folder, save_every=0.0)
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
