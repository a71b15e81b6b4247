"""Fault 4 on machines with addresses of their own: nodes that die, are taken away, come late, are slow or cut off.

No file system is shared: where a worker node looks for the experiment's folder, it finds an empty one.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from archsearch import __version__
from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from tests.cluster.netns import Cluster, Machine, cluster, needs_namespaces
from tests.faults.invariants import check_gone, check_whole, check_words, ended
from tests.faults.test_workers import descendants

pytestmark = [needs_namespaces]
DIGITS = str(Path(__file__).parents[2] / "search_spaces" / "digits.yaml")
PATIENCE = 900.0  # seconds: for a busy machine; nothing here is a claim about speed
PREEMPTED = "preempted: its worker's node is gone"


def begin(cluster: Cluster, folder: ExperimentFolder, *words: str, trials: int = 40) -> "subprocess.Popen[str]":
    settings = ("--trials", str(trials), "--set", "training.epochs=6", "--set", "search.checkpoint_every=1s")
    return cluster.search("run", DIGITS, "--address", cluster.address, *settings, "--output", str(folder.path), *words)


def until(condition: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    began = time.monotonic()
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - began < PATIENCE, "nothing happened in time"
        time.sleep(0.1)


def finish(process: "subprocess.Popen[str]", *, code: int = 0) -> str:
    out, said = process.communicate(timeout=PATIENCE)
    check_words(process.returncode, said, allowed={code})
    return out + said


def epochs(folder: ExperimentFolder) -> int:
    if not folder.ledger.exists():
        return 0
    with Ledger.read(folder.ledger) as ledger:
        return len(ledger.events_of("epoch"))


def requeued(folder: ExperimentFolder) -> list[str]:
    if not folder.ledger.exists():
        return []
    with Ledger.read(folder.ledger) as ledger:
        return [event.data["reason"] for event in ledger.events_of("requeued")]


def trains(machine: Machine) -> bool:
    """Whether it has a lane: what Ray calls the process of one."""
    for pid in machine.pids():
        try:
            if Path(f"/proc/{pid}/cmdline").read_text().startswith(("ray::Lane", "ray::ResourceTrainable")):
                return True
        except OSError:
            continue
    return False


def both_train(folder: ExperimentFolder, machine: Machine) -> bool:
    """Whether two trials are at work, and one of them on that machine."""
    if not trains(machine):
        return False
    with Ledger.read(folder.ledger) as ledger:
        return len(ledger.trials(TrialState.RUNNING)) == 2


@pytest.mark.slow
def test_a_node_dies_another_joins_late_and_is_taken_away(tmp_path: Path) -> None:
    folder, mark = ExperimentFolder(tmp_path / "out"), uuid.uuid4().hex
    with cluster(tmp_path, mark) as machines:
        machines.node()
        worker = machines.node(hidden=(tmp_path,))
        process = begin(machines, folder, trials=100)
        until(lambda: both_train(folder, worker), process)
        worker.kill()
        until(lambda: requeued(folder) == [PREEMPTED], process)
        late = machines.node(hidden=(tmp_path,))
        until(lambda: both_train(folder, late), process)
        known = epochs(folder)
        until(lambda: epochs(folder) > known + 8 and trains(late), process)
        late.preempt()
        until(lambda: requeued(folder) == [PREEMPTED] * 2, process)
        said = finish(process)
        assert f"node {late.address} joined" in said or f"({late.address}) joined" in said
    check_whole(folder, planned=100)
    check_gone(mark)


@pytest.mark.slow
def test_a_node_that_dies_before_it_says_what_it_runs_is_left_out(tmp_path: Path) -> None:
    folder, mark = ExperimentFolder(tmp_path / "out"), uuid.uuid4().hex
    with cluster(tmp_path, mark) as machines:
        machines.node()
        worker = machines.node(hidden=(tmp_path,))
        for pid in worker.pids():  # it answers nothing, and so its versions are waited for
            os.kill(pid, signal.SIGSTOP)
        process = begin(machines, folder, trials=4)
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("comparing the nodes' versions" in line for line in lines)
        time.sleep(2)
        worker.kill()
        finish(process)
    check_whole(folder, planned=4)
    check_gone(mark)


@pytest.mark.slow
def test_the_head_dies_and_resume_goes_on_with_another_cluster(tmp_path: Path) -> None:
    folder, mark = ExperimentFolder(tmp_path / "out"), uuid.uuid4().hex
    with cluster(tmp_path, mark) as machines:
        machines.node()
        machines.node(hidden=(tmp_path,))
        process = begin(machines, folder)
        until(lambda: epochs(folder) > 8, process)
        machines.head.kill(sparing=(process.pid, *descendants(process.pid)))
        said = finish(process, code=1)
        assert "Ray on this machine" in said
        assert "archsearch resume" in said
    before = ended(folder)
    check_gone(mark, within=60)
    with cluster(tmp_path, mark) as machines:
        machines.node()
        machines.head.environment["RAY_ADDRESS"] = machines.address
        finish(machines.search("resume", str(folder.path), "--address", "auto"))
    check_whole(folder, planned=40, before=before)
    check_gone(mark)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [30, 150])
def test_a_node_is_cut_off_for_a_while(tmp_path: Path, seconds: int) -> None:
    """Half a minute is waited for; after minutes the node counts as gone, and comes back as another or not at all."""
    folder, mark = ExperimentFolder(tmp_path / "out"), uuid.uuid4().hex
    with cluster(tmp_path, mark) as machines:
        machines.node()
        worker = machines.node(hidden=(tmp_path,))
        process = begin(machines, folder, "--set", "search.checkpoint_every=5s", trials=1000)
        until(lambda: both_train(folder, worker), process)
        worker.cut()
        time.sleep(seconds)
        assert process.poll() is None, process.communicate()
        known = epochs(folder)
        worker.heal()
        until(lambda: epochs(folder) > known, process)
        process.send_signal(signal.SIGINT)
        finish(process, code=3)
        assert set(requeued(folder)) <= {PREEMPTED, "interrupted"}
    before = ended(folder)
    check_gone(mark, within=60)
    with Ledger.read(folder.ledger) as ledger:
        assert not ledger.events_of("state_lost", "failed")
        assert before <= ended(folder)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").exists(), reason="slows a node by a cgroup (v1)")
def test_a_slow_node_holds_nobody_up(tmp_path: Path) -> None:
    folder, mark = ExperimentFolder(tmp_path / "out"), uuid.uuid4().hex
    with cluster(tmp_path, mark) as machines:
        machines.node()
        worker = machines.node(hidden=(tmp_path,))
        process = begin(machines, folder)
        until(lambda: both_train(folder, worker), process)
        with worker.slowed(0.1):
            finish(process)
    check_whole(folder, planned=40)
    check_gone(mark)


def imitation(place: Path, name: str, version: str) -> Path:
    """A folder in which Python finds this version of a package, before its own."""
    folder = place / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return place


@pytest.mark.slow  # Ray gives a node 30 s to start, which a busy machine may exceed
def test_nodes_of_other_versions_are_named_before_any_trial(tmp_path: Path) -> None:
    """And one that joins late gets no trial. A node without the token never joins."""
    folder, mark = ExperimentFolder(tmp_path / "out"), uuid.uuid4().hex
    with cluster(tmp_path, mark) as machines:
        head = machines.node()
        other = machines.node(path=(imitation(tmp_path / "older", "torch", "2.14.0"),))
        process = begin(machines, folder)
        said = finish(process, code=2)
        assert f"({other.address}): torch 2.14.0 (here 2.15.0)" in said
        assert epochs(folder) == 0
        with Ledger.read(folder.ledger) as ledger:
            assert ledger.total == 0
        del head.environment["RAY_AUTH_MODE"]
        process = begin(machines, ExperimentFolder(tmp_path / "other"))
        assert "RAY_AUTH_MODE is not set" in finish(process, code=2)
        assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_late_node_of_another_version_gets_no_trial(tmp_path: Path) -> None:
    folder, mark = ExperimentFolder(tmp_path / "out"), uuid.uuid4().hex
    with cluster(tmp_path, mark) as machines:
        machines.node()
        process = begin(machines, folder, trials=120)
        until(lambda: epochs(folder) > 2, process)
        late = machines.node(path=(imitation(tmp_path / "older", "torch", "2.14.0"),))
        deadline = time.monotonic() + 40
        while process.poll() is None and time.monotonic() < deadline:
            assert not trains(late)
            time.sleep(0.5)
        said = finish(process)
        assert "gets no trial: torch 2.14.0 (here 2.15.0)" in said
    check_whole(folder, planned=120)


@pytest.mark.slow
def test_the_working_tree_is_sent_to_nodes_whose_archsearch_is_another(tmp_path: Path) -> None:
    """Refused as it is, and with --runtime-env it runs."""
    folder, mark = ExperimentFolder(tmp_path / "out"), uuid.uuid4().hex
    older = tmp_path / "older"
    shutil.copytree(Path(__file__).parents[2] / "archsearch", older / "archsearch")
    with (older / "archsearch" / "__init__.py").open("a") as file:
        file.write("\nOLDER = True\n")
    with cluster(tmp_path, mark) as machines:
        machines.node(cpus=0)
        worker = machines.node(path=(older,))
        assert f"archsearch {__version__} (source " in finish(begin(machines, folder), code=2)
        process = machines.search("resume", str(folder.path), "--address", machines.address, "--runtime-env")
        until(lambda: trains(worker), process)
        finish(process)
    check_whole(folder, planned=40)
    check_gone(mark)


@pytest.mark.slow
def test_a_machine_beside_the_cluster_and_one_without_its_token_are_refused(tmp_path: Path) -> None:
    """Within a time that a person waits. As a node without cores the machine may drive."""
    folder, mark = ExperimentFolder(tmp_path / "out"), uuid.uuid4().hex
    with cluster(tmp_path, mark) as machines:
        machines.node()
        stranger, began = machines.machine(alone=True), time.monotonic()
        words = ("run", DIGITS, "--trials", "4", "--address", machines.address, "--output", str(folder.path))
        said = finish(machines.search(*words, on=stranger), code=2)
        assert "cannot be joined" in said and "--num-cpus 0" in said
        machines.head.environment["RAY_AUTH_TOKEN"] = "f" * 64
        said = finish(machines.search("resume", str(folder.path), "--address", machines.address), code=2)
        assert "token" in said
        assert time.monotonic() - began < 300, "liveness: Ray tries for minutes, and then for ever"
        beside = machines.node(cpus=0)
        finish(machines.search("resume", str(folder.path), "--address", machines.address, on=beside))
    check_whole(folder, planned=4)
    check_gone(mark)


def test_an_address_that_nobody_answers_at_is_refused_in_seconds(tmp_path: Path) -> None:
    """Also `auto` with no Ray, and from a machine that is none of the cluster's nodes."""
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    command = ["-m", "archsearch", "run", DIGITS, "--output", str(tmp_path / "out"), "--address"]

    for address, words in (
        ("127.0.0.1:9", "no Ray answers at 127.0.0.1:9"),
        ("ray://127.0.0.1:10001", "an address of Ray Client"),
        ("somewhere", "allowed: auto, or HOST:PORT"),
    ):
        done = subprocess.run(
            [sys.executable, *command, address],
            env=environment,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
        check_words(done.returncode, done.stderr, allowed={2})
        assert words in done.stderr and "--address" in done.stderr
    assert not (tmp_path / "out").exists()
