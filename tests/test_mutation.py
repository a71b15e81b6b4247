"""The script that changes operators: what it takes for one, and that a change is that token alone."""

import ast
from pathlib import Path

import pytest

from tests.mutation import CHECKOUT, changes, chosen, copied, noticed, room_of

SOURCE = """
def worth(mean: float | None, spread: "int | str", names: list[str] = []) -> "float | None":
    é = "äöü" + f"{mean + 1}"; total = -mean + 2 * (spread)
    total += 1
    if not total and mean is not None or 0 < spread <= 9 and "a" not in names:
        return total
    return mean if isinstance(mean, int | Path) else ~total
"""


def test_every_operator_that_runs_is_changed_and_no_type() -> None:
    found = [(c.line, c.before, c.after) for c in changes(SOURCE, "archsearch/x.py")]
    assert sorted(found) == [
        *((3, "*", "/"), (3, "+", "-"), (3, "+", "-"), (3, "-", ""), (4, "+=", "-=")),
        *((5, "<", "<="), (5, "<", ">="), (5, "<=", "<"), (5, "<=", ">"), (5, "and", "or"), (5, "and", "or")),
        *((5, "is not", "is"), (5, "not", ""), (5, "not in", "in"), (5, "or", "and"), (7, "~", "")),
    ]


def test_a_change_is_one_token_and_the_file_is_python_still() -> None:
    for change in chosen(0, 60, "space"):
        source = (CHECKOUT / change.file).read_text()
        changed = change.applied(source)
        assert len(changed) - len(source) == len(change.after) - len(change.before)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)), change


@pytest.mark.slow
def test_a_seed_chooses_the_same_changes_and_a_room_only_its_own() -> None:
    assert chosen(1, 20, "") == chosen(1, 20, "") != chosen(2, 20, "")
    assert {room_of(change.file) for change in chosen(1, 20, "search/proposing")} == {"search/proposing"}
    assert {change.file for change in chosen(1, 5, "reading/numbers")} == {"archsearch/reading/numbers.py"}


@pytest.mark.slow
def test_a_change_that_a_test_sees_is_killed_in_a_copy_and_another_survives(tmp_path: Path) -> None:
    copied(tmp_path)
    name = "archsearch/reading/numbers.py"
    before = (CHECKOUT / name).read_text()
    change = next(change for change in changes(before, name) if change.before == "and")
    failure = noticed(tmp_path, change, 1_000_000_000)
    assert failure is not None and failure.startswith("tests/reading/test_numbers.py::")
    assert (CHECKOUT / name).read_text() == before == (tmp_path / name).read_text()
    unread = tmp_path / "archsearch/reading/unread.py"
    unread.write_text("WIDTH = 2 + 3\n")
    (change,) = changes(unread.read_text(), "archsearch/reading/unread.py")
    assert noticed(tmp_path, change, 1_000_000_002) is None
    (tmp_path / "tests/reading/test_numbers.py").write_text("def test_fails() -> None:\n    raise ValueError\n")
    with pytest.raises(SystemExit, match="test_fails fails with nothing changed"):
        noticed(tmp_path, change, 1_000_000_004)
