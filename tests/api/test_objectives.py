"""Searches by other metrics with everything that comes after them, Ray and MLflow included: rare classes by balanced
accuracy, several labels, and the angle of a digit by its mean absolute error."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
import numpy as np
import archsearch
from tests.training.task_images import digits, pairs_of_digits, rotated_digits

case = sys.argv[1]
space = {
    "archsearch": 1, "name": case, "search": {"early_stopping": {"kind": "none"}, "finish": "none"},
    "space": {"stages": 1, "depth": {"int": [1, 2]}, "width": {"choice": [4, 8]}},
    "training": {"epochs": 2, "batch_size": 32, "precision": "float32", "recipe": "none"},
}
if case == "rare":
    images, labels = digits()
    chosen = np.flatnonzero((labels < 3) | ((labels == 3) & (np.cumsum(labels == 3) <= 16)))
    data = images[chosen], labels[chosen]
elif case == "pairs":
    data = pairs_of_digits(200)
else:
    data = rotated_digits(200)
    space["search"]["objectives"] = {"mean_absolute_error": "min"}

class Stops:
    def phase(self, text):
        pass
    def trial(self, trial, metrics):
        if trial.state == "finished":
            raise KeyboardInterrupt

try:
    archsearch.search(space, data=data, trials=3, seed=1, callbacks=[Stops()])
except KeyboardInterrupt:
    before = archsearch.open(case).state
found = archsearch.open(case).resume(progress=False)
searched = found.summary
confirmed = found.confirm(top=2, seeds=1, baselines=[], random=False, progress=False)
found.export("bundle")
found.report("report.html")
found.sync()
print(json.dumps({
    "before": before, "searched": searched, "confirmed": confirmed, "after": found.summary, "shown": repr(found),
    "values": found.trials["value"].dropna().tolist(), "card": found._repr_html_(),
    "objectives": dict(found.space.search.objectives), "epochs": found.study.trials[0].intermediate_values,
}))
"""
METRICS = {"rare": "balanced_accuracy", "pairs": "mean_average_precision", "angles": "mean_absolute_error"}
LABELS = {case: name.replace("_", " ") for case, name in METRICS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("case", METRICS)
def test_a_search_by_another_metric_is_run_resumed_confirmed_exported_and_reported(case: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "script.py", case], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    metric, label, best = METRICS[case], LABELS[case], min if case == "angles" else max
    assert told["before"] == "interrupted"
    assert list(told["objectives"]) == [metric]
    searched, after = told["searched"], told["after"]
    assert (searched["state"], searched["metric"]["name"]) == ("finished", metric)
    assert searched["best"]["value"] == best(told["values"])
    assert searched["best"]["test_value"] is not None and searched["best"]["test_accuracy"] is None
    assert searched["floor"]["metric"] == metric
    rows = told["confirmed"]["rows"]
    means = [row["validation"]["mean"] for row in rows]
    assert means == sorted(means, reverse=case != "angles")
    assert rows[0]["winner"] and rows[0]["test"]["n"] == 1
    assert f"chosen by its mean validation {label}" in told["confirmed"]["chosen"]
    assert (after["best"]["of"], after["best"]["value"]) == ("confirm", means[0])
    assert f"best {label}" in told["shown"] and f"validation {label}" in told["card"]
    assert len(told["epochs"]) == 2
    report = (tmp_path / "report.html").read_text()
    assert f"Validation {label}" in report and f"has a validation {label} of" in report
    assert "validation accuracy" not in report
    assert (tmp_path / "bundle" / "model.py").is_file()
    if case == "rare":
        assert "note: search.objectives: balanced_accuracy: max, since classes have" in done.stderr
    assert [path.name for path in (tmp_path / "experiments").iterdir()] == [case], "no process ran the script again"
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == case]
    runs = client.search_runs([experiment.experiment_id], order_by=[f"metrics.`{metric}` DESC"])
    trials = [run.data.metrics for run in runs if metric in run.data.metrics]
    assert len(trials) >= 3
    assert all(f"validation_{metric}" in metrics for metrics in trials)
    assert any(f"best_{metric}" in run.data.metrics for run in runs)
