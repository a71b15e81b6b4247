"""Ray's autoscaler brings nodes for a search: its real one, with a provider whose nodes are processes of one machine
(which it does not take away again: it takes them for ones that it does not know)."""

import json
import uuid
from pathlib import Path

import pytest

from archsearch.experiment import ExperimentFolder
from tests.cluster.netns import Cluster, cluster, needs_namespaces
from tests.cluster.test_nodes import begin, finish, until
from tests.faults.invariants import check_gone, check_whole

pytestmark = [needs_namespaces, pytest.mark.slow]
CONFIG = {
    "cluster_name": "fake",
    "max_workers": 2,
    "provider": {"type": "fake_multinode", "disable_node_updaters": True},
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        "worker": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 1},
    },
    "idle_timeout_minutes": 0.05,
    "upscaling_speed": 1.0,
    "auth": {},
    "file_mounts": {},
    "file_mounts_sync_continuously": False,
    "cluster_synced_files": [],
    "rsync_exclude": [],
    "rsync_filter": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}


def test_nodes_come_for_a_search_and_nothing_is_asked_for_after_it(tmp_path: Path) -> None:
    folder, mark, config = ExperimentFolder(tmp_path / "out"), uuid.uuid4().hex, tmp_path / "autoscaling.json"
    config.write_text(json.dumps(CONFIG))
    with cluster(tmp_path, mark) as machines:
        head = machines.node(autoscaling=config)
        process = begin(machines, folder, trials=40)
        until(
            lambda: "{'CPU': 1.0}: 10 from request_resources()" in asked(machines), process
        )  # a quarter of the trials
        said = finish(process)
        assert " joined" in said, said
        until(lambda: asked(machines) == "(none)", head.start("sleep", "300"))
    check_whole(folder, planned=40)
    check_gone(mark)


def asked(machines: Cluster) -> str:
    """What the autoscaler was asked for, when it last said so."""
    log = Path(f"/tmp/as{machines.id}/session_latest/logs/monitor.log").read_text()
    return log.rpartition("From request_resources:")[2].strip().partition("\n")[0].strip()
