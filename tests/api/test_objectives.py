"""Searches by other metrics with everything that comes after them, Ray and MLflow included: rare classes by balanced
accuracy, several labels, the angle of a digit by its mean absolute error, and a function of one's own."""

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

def worst_recall(outputs, labels):
    right = outputs.argmax(1) == labels
    return min(right[labels == label].mean() for label in np.unique(labels))

case, metrics = sys.argv[1], None
space = {
    "archsearch": 1, "name": case, "search": {"early_stopping": {"kind": "none"}, "finish": "none"},
    "space": {"stages": 1, "depth": {"int": [1, 2]}, "width": {"choice": [4, 8]}},
    "training": {"epochs": 2, "batch_size": 32, "precision": "float32", "recipe": "none"},
}
if case == "rare":
    images, labels = digits()
    chosen = np.flatnonzero((labels < 3) | ((labels == 3) & (np.cumsum(labels == 3) <= 16)))
    data = images[chosen], labels[chosen]
elif case == "own":
    data = "digits"
    space["data"] = {"name": "digits", "limit": 400}
    space["search"]["objectives"] = {"worst_recall": "max"}
    metrics = {"worst_recall": worst_recall}
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
    archsearch.search(space, data=data, trials=3, seed=1, callbacks=[Stops()], metrics=metrics)
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
METRICS = {
    "own": "worst_recall",
    "rare": "balanced_accuracy",
    "pairs": "mean_average_precision",
    "angles": "mean_absolute_error",
}
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


OWN = """
archsearch: 1
name: own
data: {name: digits, limit: 400, metrics: {confusions: "measures:confusions"}}
space: {stages: 1, depth: {int: [1, 2]}, width: {choice: [4, 8]}}
search: {objectives: {confusions: min}, trials: 2, finish: none}
training: {epochs: 2, batch_size: 32, precision: float32, recipe: none}
"""
MEASURES = "def confusions(outputs, labels):\n    return int((outputs.argmax(1) != labels).sum())\n"
AGAIN = """
import archsearch
space = archsearch.load_space("own.yaml", ["data.metrics={}", "search.objectives={accuracy: max}", "name=again"])
METRICS = {"first": lambda outputs, labels: -float((outputs.argmax(1) == labels).mean())}
archsearch.search(space, metrics=METRICS, search={"objectives": {"first": "min"}}, trials=1, progress=False)
"""


@pytest.mark.slow
def test_a_file_with_a_metric_of_ones_own_goes_through_every_command(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "measures.py").write_text(MEASURES)
    path = f"{Path(__file__).parents[2]}:{tmp_path}"

    def call(*words: str, code: int = 0) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr

    def archsearch(*words: str, code: int = 0) -> tuple[str, str]:
        return call("-m", "archsearch", *words, code=code)

    allowed = ["--allow-source", "measures:confusions"]
    assert "--allow-source MODULE:FUNCTION" in archsearch("run", "own.yaml", code=2)[1]
    summary = json.loads(archsearch("run", "own.yaml", *allowed, "--json")[0])
    assert summary["metric"] == {"name": "confusions", "sense": "min", "percent": False}
    assert "--allow-source MODULE:FUNCTION" in archsearch("resume", "own", "--trials", "3", code=2)[1]
    more = json.loads(archsearch("resume", "own", "--trials", "3", *allowed, "--json")[0])
    assert more["trials"]["total"] == 3 and more["best"]["value"] <= summary["best"]["value"]
    confirmed = json.loads(archsearch("confirm", "own", "--seeds", "1", "--top", "1", *allowed, "--json")[0])
    assert confirmed["rows"][0]["validation"]["mean"] == int(confirmed["rows"][0]["validation"]["mean"])
    archsearch("report", "own")
    archsearch("export", "own", "-o", "bundle")
    archsearch("sync", "own")
    call("-c", AGAIN)
    resume = "import archsearch\nprint(archsearch.open('again').resume(trials=2, progress=False{}).best.value)"
    assert "first is a function that was given in Python" in call("-c", resume.format(""), code=1)[1]
    given = ", metrics={'first': lambda outputs, labels: -float((outputs.argmax(1) == labels).mean())}"
    assert -1 <= float(call("-c", resume.format(given))[0]) <= 0
    archsearch("compare", "own", "again")
