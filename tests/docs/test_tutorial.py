"""The tutorials, typed as they stand, each in an empty folder: some minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.reading import ROOT, blocks

TUTORIAL, PAPERS = ROOT / "docs" / "tutorial.md", ROOT / "docs" / "papers.md"


def typed(page: Path, folder: Path) -> int:
    """Runs the commands of a page in the folder; how many. Its YAML is mine.yaml, its other text is output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    steps = 0
    for language, text in blocks(page):
        if language == "text":
            continue
        if language == "yaml":
            (folder / "mine.yaml").write_text(text)
            continue
        command = {"sh": ["sh", "-ec", text], "python": [sys.executable, "-c", text]}[language]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        steps += 1
    return steps


@pytest.mark.slow
def test_the_tutorial_leads_from_images_to_a_model(tmp_path: Path) -> None:
    assert typed(TUTORIAL, tmp_path) >= 7
    assert (tmp_path / "experiments" / "mine" / "report.html").is_file()
    assert (tmp_path / "bundle" / "model.py").is_file()


@pytest.mark.slow
def test_each_command_of_the_papers_makes_a_page(tmp_path: Path) -> None:
    assert typed(PAPERS, tmp_path) == 6
    assert {page.name for page in tmp_path.glob("*.html")} == {
        "digits-degradation.html", "resnet56_cifar-lesion.html", "plain20_cifar-lesion.html",
        "resnet56_cifar-lesion.pruned-lesion.html", "resnet56_cifar-paths.html", "resnet110_cifar-depth.html",
        "resnet56_cifar-landscape.html",
    }  # fmt: skip
