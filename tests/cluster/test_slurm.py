"""launch/slurm/search.sbatch through a real sbatch: queued again twice in the middle, every trial once in the end."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder, Ledger
from tests.cluster.slurm import Slurm, missing, two_nodes, until
from tests.faults.invariants import check_gone, check_tracking, check_whole, ended, marked
from tests.search.local import SPACE

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "launch" / "slurm" / "search.sbatch"
TRIALS = 32


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_job_that_is_queued_again_goes_on_with_its_search(tmp_path: Path) -> None:
    mark, work = f"slurm-{tmp_path.name}", tmp_path / "work"
    work.mkdir()
    (work / "tiny.yaml").write_text(SPACE)
    environment = marked(mark) | {"ARCHSEARCH_BIN": str(Path(sys.executable).parent), "PYTHONPATH": str(ROOT)}
    folder = ExperimentFolder(work / "experiments" / "tiny")
    longer = ["--trials", str(TRIALS), "--set", "training.epochs=12", "--set", "training.batch_size=8"]
    longer += ["--set", "data.limit=1200", "--set", "search.checkpoint_every=1s"]
    options = ["--parsable", "--nodes=2", "--cpus-per-task=1", "--time=60"]
    with two_nodes(tmp_path, environment) as slurm:
        job = int(slurm.run("sbatch", *options, str(SCRIPT), "tiny.yaml", "tiny", *longer, cwd=work))
        log = work / f"archsearch-{job}.log"
        try:
            until(lambda: log.exists() and "nodes are there" in log.read_text(), "Ray", seconds=600)
            _check_token(work / "experiments" / f".slurm-{job}", log)
            until(lambda: _epochs(folder) >= 12, "the first epochs", seconds=600)
            before = ended(folder)
            slurm.run("scontrol", "requeue", str(job))
            _goes_on(slurm, job, folder, restarts=1)

            assert before <= ended(folder), "a trial that had ended was lost"
            before = ended(folder)
            slurm.run("scancel", "--signal=USR1", "--batch", str(job))  # as before its time is up, or a preemption
            _goes_on(slurm, job, folder, restarts=2)

            until(lambda: slurm.job(job)["JobState"] == "COMPLETED", "the job's end", seconds=900)
        except AssertionError:
            print(log.read_text() if log.exists() else "no log")
            raise
        said = log.read_text()
        assert said.count("start 1:") == said.count("start 2:") == said.count("start 3:") == 1
        assert said.count("going on with tiny") == 2 and said.count("2 of 2 nodes are there") == 3
        assert said.count("archsearch left with 3") == 2 and "archsearch left with 0" in said
        check_whole(folder, planned=TRIALS, before=before)
        check_tracking(folder, f"sqlite:///{work}/mlruns/mlflow.db")
        assert not (work / "experiments" / f".slurm-{job}").exists(), "the token was left behind"
        assert not Path(f"/tmp/archsearch-ray-{job}").exists()
    check_gone(mark)


def _epochs(folder: ExperimentFolder) -> int:
    if not folder.ledger.exists():
        return 0
    with Ledger.read(folder.ledger) as ledger:
        return len(ledger.events_of("epoch"))


def _goes_on(slurm: Slurm, job: int, folder: ExperimentFolder, *, restarts: int) -> None:
    """SLURM has taken the job back, starts it anew, and it trains."""
    until(lambda: slurm.job(job)["JobState"] == "PENDING", "the job's return to the queue", seconds=300)
    before = _epochs(folder)
    until(lambda: slurm.job(job)["JobState"] == "RUNNING", "the job's next start", seconds=300)
    assert slurm.job(job)["Restarts"] == str(restarts)
    until(lambda: _epochs(folder) >= before + 6, "epochs after it", seconds=900)
    assert not _ended(folder), "the search was over before it was interrupted: make it longer"


def _ended(folder: ExperimentFolder) -> bool:
    with Ledger.read(folder.ledger) as ledger:
        return ledger.state == "finished"


def _check_token(own: Path, log: Path) -> None:
    """The token is its owner's alone, and nobody gets in without it."""
    token = own / "token"
    assert stat.S_IMODE(own.stat().st_mode) == 0o700 and stat.S_IMODE(token.stat().st_mode) == 0o600
    address = log.read_text().split("its head at ")[1].split()[0]
    code = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1]).get_all_node_info(timeout=20)"
    base = {"RAY_AUTH_MODE": "token"}
    for said, lets_in in ((token.read_text().strip(), True), ("0" * 64, False)):
        done = subprocess.run(
            [sys.executable, "-c", code, address], env=base | {"RAY_AUTH_TOKEN": said}, capture_output=True, check=False
        )
        assert (done.returncode == 0) is lets_in, done.stderr.decode()[-500:]
