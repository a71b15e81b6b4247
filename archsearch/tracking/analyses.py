"""Analyses of an experiment's network (`archsearch analyze`) as runs of its MLflow experiment."""

from __future__ import annotations

from archsearch.experiment import ExperimentFolder
from archsearch.experiment.analyses import analyses
from archsearch.tracking.store import Store
from archsearch.tracking.translate import EXPERIMENT_TAG, RETRAINED_TAG, STATE_TAG, milliseconds, points_of

FIGURES_TAG = "archsearch.figures_sha256"


def send_analyses(store: Store, folder: ExperimentFolder, *, experiment: str, search: str, parent: str) -> None:
    """Each analysis as a run below the search's `parent`: its numbers as metrics, its settings as params, its page as
    an artifact. One with the same settings has the same run, which is sent again where the figures differ."""
    for analysis in analyses(folder):
        key, ended = f"{search}/analysis/{analysis.key}", milliseconds(analysis.ended)
        known = store.tagged(experiment, RETRAINED_TAG, key)
        if known and known.tags.get(FIGURES_TAG) == analysis.figures_digest:
            continue
        tags = {RETRAINED_TAG: key, EXPERIMENT_TAG: search, "mlflow.parentRunId": parent}
        run = known.run if known else store.create(experiment, f"analysis {analysis.kind}", ended, tags)
        purpose = {"archsearch.purpose": "analysis", STATE_TAG: "finished"}
        points = points_of(analysis.numbers, analysis.ended, step=0)
        store.log(run, points=points, params=analysis.settings, tags=purpose)
        store.text(run, folder.read_text(analysis.page), analysis.page.name)
        store.status(run, "FINISHED", ended)
        store.log(run, tags={FIGURES_TAG: analysis.figures_digest})  # the last: what was interrupted is sent again
