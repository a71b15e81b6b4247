"""A real SLURM of two nodes on this machine: munged, slurmctld and two slurmd, with their files in one folder."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
TOOLS = ("sbatch", "scontrol", "scancel", "sinfo", "srun")
_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=30
"""


def missing() -> str:
    """What SLURM lacks here; empty where all is there."""
    lacks = [word for word in (*DAEMONS, *TOOLS) if _found(word) is None]
    return f"SLURM is not installed here: no {', '.join(lacks)} (Debian: slurm-wlm)" if lacks else ""


def _found(word: str) -> str | None:
    return shutil.which(word, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@dataclass(frozen=True)
class Slurm:
    """A running one. `environment` is what its commands and jobs see."""

    environment: Mapping[str, str]

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """What one of SLURM's commands prints. Raises CalledProcessError."""
        done = subprocess.run(command, env=self.environment, cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def job(self, number: int) -> dict[str, str]:
        """`scontrol show job`, by key."""
        return dict(re.findall(r"(\w+)=(\S*)", self.run("scontrol", "show", "job", str(number))))


@contextmanager
def two_nodes(folder: Path, environment: Mapping[str, str]) -> Iterator[Slurm]:
    """Until the block ends; then every daemon is ended, by pid, and its jobs before that."""
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    conf, host, nodes = folder / "slurm.conf", socket.gethostname().split(".")[0], ("n1", "n2")
    lines = _CONF.format(host=host, user=getpass.getuser(), folder=folder, controller=_free_port())
    for node in nodes:
        lines += f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={_free_port()} CPUs=1 State=UNKNOWN\n"
    conf.write_text(lines + "PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP\n")
    slurm = Slurm(environment={**environment, "SLURM_CONF": str(conf)})
    munge = ["-F", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}", f"--pid-file={folder}/munge.pid",
             f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]  # fmt: skip
    daemons = [_start(folder, slurm, "munged", *munge)]
    try:
        until((folder / "munge.socket").exists, "munged")
        daemons.append(_start(folder, slurm, "slurmctld", "-D"))
        daemons += [_start(folder, slurm, "slurmd", "-D", "-N", node) for node in nodes]
        until(lambda: _idle(slurm) == len(nodes), "SLURM's nodes", seconds=120)
        yield slurm
    finally:
        subprocess.run(["scancel", "--user", getpass.getuser()], env=slurm.environment, check=False)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in reversed(daemons):
            try:
                daemon.wait(60)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _start(folder: Path, slurm: Slurm, word: str, *options: str) -> subprocess.Popen[bytes]:
    name = f"{word}{options[-1]}" if word == "slurmd" else word
    with (folder / f"{name}.log").open("wb") as log:
        program = _found(word)
        assert program is not None
        return subprocess.Popen(
            [program, *options], env=slurm.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _idle(slurm: Slurm) -> int:
    done = subprocess.run(
        ["sinfo", "-h", "-o", "%D %t"], env=slurm.environment, capture_output=True, text=True, check=False
    )
    return sum(int(line.split()[0]) for line in done.stdout.splitlines() if line.endswith(" idle"))


def until(condition: Callable[[], object], what: str, *, seconds: float = 60) -> None:
    """Waits for it; an AssertionError that says what never came."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
