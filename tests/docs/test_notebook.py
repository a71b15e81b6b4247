"""docs/notebook.ipynb, executed in a Jupyter kernel as a reader would."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import archsearch

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def outputs(cell: nbformat.NotebookNode, kind: str = "text/plain") -> list[str]:
    return [output["data"][kind] for output in cell.outputs if kind in output.get("data", {})]


@pytest.mark.slow
def test_every_cell_of_the_notebook_runs_and_shows_what_it_says(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    search = next(cell for cell in cells if "archsearch.search(" in cell.source)
    shown = outputs(search, "text/html")
    (bar,) = [text for text in shown if "<progress" in text]  # drawn anew in its place
    assert "8 of 8 trials" in bar
    assert "<b>notebook</b>: finished" in shown[-1]
    experiment = archsearch.open("notebook")
    assert experiment.best is not None
    accuracy, difference = (float(outputs(cell)[0]) for cell in cells[-2:])
    assert accuracy == pytest.approx(experiment.best.value, abs=0.02)
    assert difference < 1e-4
    assert any("<table" in text for cell in cells for text in outputs(cell, "text/html"))


def test_the_notebook_is_stored_without_outputs_and_is_linked() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    for page in ("README.md", "docs/index.md", "docs/python.md"):
        assert "notebook.ipynb" in (NOTEBOOK.parents[1] / page).read_text()
