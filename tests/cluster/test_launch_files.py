"""What launch/ holds, against what will read it: Ray's own validation, KubeRay's schema, bash, nginx."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.cluster.test_dockerfile import instructions, is_sent

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "launch"
FILES = sorted(path for path in LAUNCH.rglob("*") if path.is_file() and path.suffix != ".md")
CLUSTERS = sorted((LAUNCH / "ray").glob("*.yaml"))
CRD = json.loads(gzip.decompress((Path(__file__).parent / "kuberay_rayjob_v1.json.gz").read_bytes()))


def names(path: Path) -> str:
    return path.relative_to(LAUNCH).as_posix()


@pytest.mark.parametrize("path", FILES, ids=names)
def test_a_file_opens_with_its_purpose_its_cost_and_the_one_command(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#!")]
    opening = "\n".join(line for line in lines[: next(n for n, x in enumerate(lines) if not x.startswith("#"))])
    assert re.search(r"^# [A-Z].{20,}", opening) and "\n# Cost: " in opening and "\n# The one command" in opening
    assert max(len(line) for line in opening.splitlines()) <= 120
    for word in re.findall(r"(?:search_spaces|launch)/[\w./-]+", opening):
        assert (ROOT / word.rstrip(".")).exists(), f"{word} is not there"


@pytest.mark.parametrize("path", [p for p in FILES if p.read_bytes().startswith(b"#!")], ids=names)
def test_a_script_is_executable_where_a_person_calls_it_and_parses(path: Path) -> None:
    assert os.access(path, os.X_OK) or path.suffix == ".sbatch"
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pkill" not in path.read_text() and "killall" not in path.read_text()


@pytest.mark.parametrize("path", CLUSTERS, ids=names)
def test_ray_takes_a_cluster_file(path: Path) -> None:
    config = _prepared(yaml.safe_load(path.read_text()))
    workers = sum(kind["min_workers"] for kind in config["available_node_types"].values())
    assert workers == 2 and config["max_workers"] >= workers
    for command in ("head_start_ray_commands", "worker_start_ray_commands"):
        start = next(line for line in config[command] if " start " in line)
        assert "RAY_AUTH_MODE=token" in start and "--dashboard-host" not in start
    assert any("--include-dashboard=false" in line for line in config["head_start_ray_commands"])
    assert "~/.ray/auth_token" in config["file_mounts"].values()


def test_the_driver_is_one_that_the_tested_torch_can_use() -> None:
    for cloud in ("aws", "gcp"):
        commands = yaml.safe_load((LAUNCH / "ray" / f"{cloud}.yaml").read_text())["worker_setup_commands"]
        (pinned,) = re.findall(r"install --gpgpu nvidia:(\d+)-server", "\n".join(commands))
        assert int(pinned) >= 580


def test_rays_validation_is_one_that_can_fail() -> None:
    config = yaml.safe_load((LAUNCH / "ray" / "aws.yaml").read_text())
    for wrong in ({"max_workers": "many"}, {"head_node_type": "nobody"}, {"setup_command": []}, {"max_workers": 1}):
        with pytest.raises((jsonschema.ValidationError, ValueError)):
            _prepared(config | wrong)


def _prepared(config: dict[str, Any]) -> dict[str, Any]:
    """As `ray up` does before it asks the cloud for anything."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(config)
    validate_config(prepared)
    return prepared


def test_kuberay_takes_the_job() -> None:
    claim, job = _documents()
    assert claim["kind"] == "PersistentVolumeClaim" and claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert not list(_faults(job))
    spec = job["spec"]["rayClusterSpec"]
    assert spec["authOptions"]["mode"] == "token" and spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    annotations = spec["headGroupSpec"]["template"]["metadata"]["annotations"]
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert annotations["karpenter.sh/do-not-disrupt"] == "true"
    volumes = spec["headGroupSpec"]["template"]["spec"]["volumes"]
    assert volumes[0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_the_jobs_ray_and_archsearch_are_the_tested_ones() -> None:
    import archsearch

    _, job = _documents()
    pinned = re.search(r"^ray==([\d.]+) ", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned is not None and job["spec"]["rayClusterSpec"]["rayVersion"] == pinned[1]
    for pod in _pods(job):
        assert pod["containers"][0]["image"].endswith(f":{archsearch.__version__}")


def test_the_head_is_never_on_a_spot_node_and_workers_are_there_first() -> None:
    head, worker = _pods(_documents()[1])
    affinity = [pod["affinity"]["nodeAffinity"] for pod in (head, worker)]
    (never,) = affinity[0]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    first = [each["preference"] for each in affinity[1]["preferredDuringSchedulingIgnoredDuringExecution"]]
    spot = [(rule["key"], rule["values"]) for rule in never["matchExpressions"]]
    assert [(rule["key"], rule["values"]) for term in first for rule in term["matchExpressions"]] == spot
    assert {rule["operator"] for rule in never["matchExpressions"]} == {"NotIn"}
    assert {rule["operator"] for term in first for rule in term["matchExpressions"]} == {"In"}
    tainted = {(each["key"], each["value"]) for each in worker["tolerations"] if "value" in each}
    assert tainted < {(key, value) for key, (value,) in spot} and "tolerations" not in head


def test_the_pods_image_is_made_of_rays_and_of_what_docker_is_sent() -> None:
    text = (LAUNCH / "kuberay" / "Dockerfile").read_text()
    words = instructions(text)
    pinned = re.search(r"^ray==([\d.]+) ", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned is not None and ("FROM", f"rayproject/ray:{pinned[1]}-py311-gpu") in words
    assert f'ray.__version__ == "{pinned[1]}"' in text
    copied = [path for word, rest in words if word == "COPY" for path in rest.split()[1:-1]]
    assert {"requirements.txt", "archsearch", "search_spaces"} < {*copied}
    assert all((ROOT / path).exists() and is_sent(path) for path in copied)
    (image,) = {pod["containers"][0]["image"] for pod in _pods(_documents()[1])}
    assert f"-t {image} " in text


def test_kuberays_schema_is_one_that_can_fail() -> None:
    def changed(change: str) -> Mapping[str, Any]:
        _, job = _documents()
        spec = job["spec"]["rayClusterSpec"]
        match change:
            case "a misspelt word":
                spec["enableInTreeAutoscalling"] = True
            case "a pod's misspelt word":
                spec["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
            case "no containers":
                del spec["workerGroupSpecs"][0]["template"]["spec"]["containers"]
            case "a mode that there is not":
                spec["authOptions"]["mode"] = "password"
            case "a quantity that is none":
                spec["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "four"
        return job

    for change in ("a misspelt word", "a pod's misspelt word", "no containers", "a mode that there is not",
                   "a quantity that is none"):  # fmt: skip
        assert list(_faults(changed(change))), change


def _documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((LAUNCH / "kuberay" / "search.yaml").read_text()))


def _pods(job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    spec = job["spec"]["rayClusterSpec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        yield group["template"]["spec"]


def _faults(job: Mapping[str, Any]) -> Iterator[jsonschema.ValidationError]:
    return jsonschema.Draft7Validator(_strict(CRD["schema"])).iter_errors(job)


def _strict(node: Any) -> Any:
    """As `kubectl apply` validates: a word that the schema does not name is a fault. Kubernetes' own two extensions
    are said in JSON Schema's words."""
    if isinstance(node, list):
        return [_strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _strict(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and not node.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if node.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if node.get("nullable") and isinstance(node.get("type"), str):
        made["type"] = [node["type"], "null"]
    return made


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed here (Debian: nginx-light)")
def test_nginx_takes_the_reverse_proxy(tmp_path: Path) -> None:
    text = (LAUNCH / "tracking" / "nginx.conf").read_text()
    for name in re.findall(r"/etc/\S+\.(?:pem|key)", text):
        text = text.replace(name, str(tmp_path / Path(name).name))
    key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2"]
    certificate, secret = (re.search(rf"{word} (\S+);", text) for word in ("ssl_certificate", "ssl_certificate_key"))
    assert certificate is not None and secret is not None
    subprocess.run([*key, "-out", certificate[1], "-keyout", secret[1]], check=True, capture_output=True)
    whole = tmp_path / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    text += "\n".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    whole.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{text}\n}}\n")
    command = ["nginx", "-t", "-p", str(tmp_path), "-c", str(whole), "-g", f"error_log {tmp_path}/error.log;"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_up_says_what_is_missing_before_it_makes_anything(tmp_path: Path) -> None:
    up = str(LAUNCH / "tracking" / "up")
    for arguments, said in (
        ([], "usage"),
        ([str(tmp_path / "new"), "--wrong"], "usage"),
        ([str(tmp_path / "new"), "--open", "--name", "mlflow.example.org"], "one person's machine"),
        ([str(tmp_path / "new")], "no mlflow in"),
    ):
        with contextlib.chdir(tmp_path):
            done = subprocess.run([up, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and said in done.stderr and not done.stdout
    assert not (tmp_path / "new").exists()


# ---- MPS: the script, with stand-ins for NVIDIA's commands


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A folder of commands: the GPU's, and a control program that notes what it is asked and answers once it runs."""
    commands = {
        "nvidia-smi": "echo 'NVIDIA A100'",
        "nvidia-cuda-mps-control": """
            if [ "${1:-}" = -d ]; then touch "$HERE/runs"; exit; fi
            read -r word; echo "$word" >> "$HERE/asked"
            [ -e "$HERE/runs" ] || exit 1
            [ "$word" != quit ] || rm "$HERE/runs"
        """,
    }
    for name, text in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("bash", "id", "touch", "rm", "env"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    return tmp_path


def mps(node: Path, *arguments: str) -> tuple[int, str]:
    env = {"PATH": str(node), "HERE": str(node)}
    done = subprocess.run(["bash", LAUNCH / "mps", *arguments], capture_output=True, text=True, env=env, check=False)
    return done.returncode, done.stdout + done.stderr


def test_mps_is_started_once_and_stopped(node: Path) -> None:
    assert mps(node, "stop")[0] == 1
    assert mps(node, "start") == (0, "MPS runs; launch/mps stop ends it\n")
    assert mps(node, "start") == (1, "launch/mps: MPS runs already\n")
    assert mps(node, "stop") == (0, "MPS has stopped\n") and not (node / "runs").exists()
    assert (node / "asked").read_text().splitlines()[-1] == "quit"


@pytest.mark.parametrize(
    ("missing", "message"), [("nvidia-smi", "no NVIDIA GPU here"), ("nvidia-cuda-mps-control", "no nvidia-cuda-mps")]
)
def test_mps_is_refused_where_it_cannot_be(node: Path, missing: str, message: str) -> None:
    (node / missing).unlink()
    code, said = mps(node, "start")
    assert code == 1 and message in said and not (node / "runs").exists()
    assert mps(node)[0] == 2 and mps(node, "begin")[0] == 2
