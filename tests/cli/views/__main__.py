"""Writes every view's file."""

import tempfile
from pathlib import Path

from tests.cli.views import FOLDER, VIEWS, in_a_folder

FOLDER.mkdir(exist_ok=True)
for name in VIEWS:
    with tempfile.TemporaryDirectory() as place:
        (FOLDER / f"{name}.txt").write_text(in_a_folder(name, Path(place)))
