"""Every view of the command line is, letter by letter, what the files in views/reference/ hold."""

from pathlib import Path

import pytest

from tests.cli.views import FOLDER, VIEWS, in_a_folder

RENEW = ".venv/bin/python -m tests.cli.views"


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_as_it_was_written(name: str, tmp_path: Path) -> None:
    shown, expected = in_a_folder(name, tmp_path), (FOLDER / f"{name}.txt").read_text()
    assert shown.splitlines() == expected.splitlines(), f"to renew it: {RENEW}"
