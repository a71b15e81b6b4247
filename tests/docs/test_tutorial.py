"""The tutorial, typed as it stands, in an empty folder: some minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.reading import ROOT, blocks

TUTORIAL = ROOT / "docs" / "tutorial.md"


@pytest.mark.slow
def test_the_tutorial_leads_from_images_to_a_model(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    steps = 0
    for language, text in blocks(TUTORIAL):
        if language == "yaml":
            (tmp_path / "mine.yaml").write_text(text)
            continue
        command = {"sh": ["sh", "-ec", text], "python": [sys.executable, "-c", text]}[language]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        steps += 1
    assert steps >= 7
    assert (tmp_path / "experiments" / "mine" / "report.html").is_file()
    assert (tmp_path / "bundle" / "model.py").is_file()
