"""Analyses of a search's network as runs of its MLflow experiment: each question once, with its latest answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archsearch.experiment import ExperimentFolder
from archsearch.experiment.analyses import analyses
from archsearch.tracking import sync
from archsearch.tracking.store import Store
from tests.experiment import fill

FIGURES = {
    "analysis": "lesion", "network": "best", "digest": "0123456789abcdef", "images": 10, "seed": 0, "draws": 3,
    "whole": {"loss": 0.5, "error": 0.25}, "work": {"share": 0.4}, "paths": 2**2000, "flops": 9, "pruned": None,
    "blocks": [{"error": 0.5}], "remarks": ["One block deleted: <b>."],
}  # fmt: skip


def analysed(folder: ExperimentFolder, figures: dict[str, Any]) -> None:
    pages = folder.path / "analysis"
    pages.mkdir(exist_ok=True)
    (pages / "lesion.html").write_text(f"<p>{figures['whole']}</p>")
    (pages / "lesion.json").write_text(json.dumps(figures))


def search(path: Path) -> ExperimentFolder:
    folder = ExperimentFolder(path)
    with fill.new(folder, name="small", space="small") as ledger:
        ledger.begin()
        fill.trial(ledger, 1)
        ledger.end("finished")
    return folder


def test_an_analysis_is_read_with_its_numbers_and_others_files_are_left(tmp_path: Path) -> None:
    folder = search(tmp_path / "x")
    assert list(analyses(folder)) == []
    analysed(folder, FIGURES)
    pages = folder.path / "analysis"
    others = {"alone.html": "", "list.html": "", "list.json": "[1]", "torn.html": "", "torn.json": "{"}
    for name, text in others.items():
        (pages / name).write_text(text)
    (pages / "link.html").write_text("")
    (pages / "link.json").symlink_to(pages / "lesion.json")
    (analysis,) = analyses(folder)
    assert analysis.kind == "lesion" and analysis.remark == "One block deleted: <b>."
    assert analysis.numbers == {"whole_loss": 0.5, "whole_error": 0.25, "work_share": 0.4, "flops": 9.0}
    assert analysis.settings == {
        "analysis": "lesion", "digest": "0123456789abcdef", "images": "10", "seed": "0", "draws": "3"
    }  # fmt: skip


def test_an_analysis_is_a_run_of_the_experiment_once_with_its_latest_figures(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    uri, folder = f"sqlite:///{tmp_path}/mlflow.db", search(tmp_path / "x")
    analysed(folder, FIGURES)
    client = MlflowClient(uri)
    for error in (0.25, 0.25, 0.125):
        analysed(folder, {**FIGURES, "whole": {"loss": 0.5, "error": error}})
        assert sync(folder, uri).refused == []
        (experiment,) = client.search_experiments(filter_string="name = 'small'")
        runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
        assert sorted(runs) == ["analysis lesion", "small", "t0001"]
        run = runs["analysis lesion"]
        assert run.data.metrics == {"whole_loss": 0.5, "whole_error": error, "work_share": 0.4, "flops": 9.0}
        assert run.data.params["draws"] == "3" and run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == runs["small"].info.run_id
        (artifact,) = client.list_artifacts(run.info.run_id)
        assert artifact.path == "lesion.html"
        assert str(error) in Path(client.download_artifacts(run.info.run_id, "lesion.html")).read_text()
    assert len(client.get_metric_history(run.info.run_id, "work_share")) == 2, "not sent where nothing changed"
    analysed(folder, {**FIGURES, "seed": 1})
    sync(folder, uri)
    assert len(client.search_runs([experiment.experiment_id])) == 4, "another question"
    search_id = run.data.tags["archsearch.experiment_id"]
    listed = [run.trial for run in Store(uri).runs(experiment.experiment_id, search_id)]
    assert listed == [0, 1], "the search and its trial; an analysis is neither"
