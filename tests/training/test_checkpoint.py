from __future__ import annotations

import pytest
import torch

from archsearch.training import checkpoint
from archsearch.training.checkpoint import (
    CheckpointDamaged,
    load_checkpoint,
    load_latest,
    save_checkpoint,
    weights_from_bytes,
    weights_to_bytes,
)
from tests.training.nets import tiny


def state(value: float) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((3, 2), value), "count": torch.tensor(int(value))}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    model = tiny().to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path / "a" / "c", model.state_dict(), {"epoch": 3, "history": [0.5, None]})
    weights, extra = load_checkpoint(tmp_path / "a" / "c")
    assert same(weights, model.state_dict()) and extra == {"epoch": 3, "history": [0.5, None]}
    tiny(5).load_state_dict(weights)
    assert (tmp_path / "a" / "c").stat().st_mode & 0o777 == 0o700


DAMAGE = {
    "one byte flipped": lambda b: b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 1]) + b[len(b) // 2 + 1 :],
    "truncated": lambda b: b[: len(b) // 2],
    "one byte short": lambda b: b[:-1],
    "empty": lambda b: b"",
    "longer": lambda b: b + b"\0",
}


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.EXTRA, checkpoint.MANIFEST])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_one_is_found_and_the_one_before_is_used(tmp_path, name, damage):
    folder = tmp_path / "c"
    save_checkpoint(folder, state(1), {"epoch": 1})
    save_checkpoint(folder, state(2), {"epoch": 2})
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(CheckpointDamaged):
        load_checkpoint(folder)
    weights, extra = load_latest(folder)
    assert extra == {"epoch": 1} and same(weights, state(1))


def test_every_flipped_bit_of_the_weights_is_found(tmp_path):
    save_checkpoint(tmp_path / "c", state(1), {})
    path = tmp_path / "c" / checkpoint.WEIGHTS
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(CheckpointDamaged):
            load_checkpoint(tmp_path / "c")


def test_a_damaged_one_does_not_push_out_the_good_one_before(tmp_path):
    folder = tmp_path / "c"
    save_checkpoint(folder, state(1), {"epoch": 1})
    save_checkpoint(folder, state(2), {"epoch": 2})
    (folder / checkpoint.WEIGHTS).write_bytes(b"")
    save_checkpoint(folder, state(3), {"epoch": 3})
    assert load_checkpoint(folder)[1] == {"epoch": 3}
    (folder / checkpoint.EXTRA).unlink()
    assert load_latest(folder)[1] == {"epoch": 1}


@pytest.mark.parametrize("missing", [checkpoint.WEIGHTS, checkpoint.EXTRA, checkpoint.MANIFEST])
def test_a_missing_part_is_damage(tmp_path, missing):
    save_checkpoint(tmp_path / "c", state(1), {})
    (tmp_path / "c" / missing).unlink()
    with pytest.raises(CheckpointDamaged):
        load_checkpoint(tmp_path / "c")


def test_nothing_there_is_none(tmp_path):
    assert load_latest(tmp_path / "c") is None
    with pytest.raises(CheckpointDamaged):
        load_checkpoint(tmp_path / "c")


def test_a_manifest_cannot_lead_outside_the_folder(tmp_path):
    save_checkpoint(tmp_path / "c", state(1), {})
    outside = tmp_path / "outside"
    (tmp_path / "c" / checkpoint.EXTRA).rename(outside)
    (tmp_path / "c" / checkpoint.EXTRA).symlink_to(outside)
    with pytest.raises(CheckpointDamaged):
        load_checkpoint(tmp_path / "c")
    for text in ("[]", "null", '{"format": 1}', '{"format": 1, "files": {"../outside": {}}}', "[" * 100_000):
        (tmp_path / "c" / checkpoint.MANIFEST).write_text(text)
        with pytest.raises(CheckpointDamaged):
            load_checkpoint(tmp_path / "c")


def killed(*arguments):
    raise KeyboardInterrupt


@pytest.mark.parametrize("point", ["_write_synced", "sync_folder", "load_checkpoint", "weights_to_bytes"])
def test_a_save_that_is_cut_off_leaves_the_one_before(tmp_path, monkeypatch, point):
    folder = tmp_path / "c"
    save_checkpoint(folder, state(1), {"epoch": 1})
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, point, killed)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(folder, state(2), {"epoch": 2})
    assert load_latest(folder)[1] == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_leftovers_of_a_killed_process_are_cleared_away(tmp_path):
    (tmp_path / ".c.new-killed").mkdir()
    save_checkpoint(tmp_path / "c", state(1), {})
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_weights_travel_as_bytes_even_tied_ones():
    shared = torch.arange(6.0).view(2, 3)
    weights = {"a": shared, "b": shared, "c": shared.t(), "part": shared[1]}
    assert same(weights_from_bytes(weights_to_bytes(weights)), weights)


@pytest.mark.parametrize("data", [b"", b"x" * 7, b"\xff" * 64, b"\x08\0\0\0\0\0\0\0notjson!"])
def test_bytes_that_are_no_weights_are_damage(data):
    with pytest.raises(CheckpointDamaged):
        weights_from_bytes(data)
