"""A Ray cluster of several machines, on one: each node in a network namespace with an address of its own, behind a
bridge, with its own view of some folders. Needs root and `ip`.

Nothing of it touches the machine's own network: the bridge too is in a namespace. Its wires can be cut and healed, made
slow, and its nodes killed as a machine dies (all processes at once) or is taken away (SIGTERM to Ray first).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.invariants import marked

TOKEN = "0123456789abcdef" * 4
PORT = 6379
STARTED_WITHIN = 300.0  # seconds: on a busy machine
ROOT = Path(__file__).parents[2]
CPU = Path("/sys/fs/cgroup/cpu")  # cgroup v1


def why_not() -> str:
    """Why there can be no such cluster here; nothing where there can."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        return "network namespaces need root, ip and unshare"
    name = f"as{uuid.uuid4().hex[:6]}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespace: {made.stderr.strip()}"
    link = ["ip", "-n", name, "link", "add", "switch", "type", "bridge"]
    bridged = subprocess.run(link, capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], check=False)
    return f"no bridge: {bridged.stderr.strip()}" if bridged.returncode else ""


needs_namespaces = pytest.mark.skipif(bool(why_not()), reason=why_not())


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@dataclass
class Machine:
    """One of the cluster's: its namespace, its address, and what it may not see."""

    cluster: Cluster
    name: str
    address: str
    environment: dict[str, str]
    hidden: tuple[Path, ...] = ()
    alone: bool = False
    ray: subprocess.Popen[bytes] | None = None

    def start(self, *command: str, **words: object) -> subprocess.Popen:
        """A process on this machine. Folders that it does not see are empty there, and in memory."""
        hide = "".join(f"mount -t tmpfs tmpfs {folder} && " for folder in self.hidden)
        processes = ["-p", "--fork", "--mount-proc"] if self.alone else []
        inside = ["unshare", "-m", *processes, "sh", "-c", f'{hide}exec "$@"', "sh", *command]
        return subprocess.Popen(  # type: ignore[call-overload]
            ["ip", "netns", "exec", self.name, *inside], env=self.environment, start_new_session=True, **words
        )

    def pids(self) -> list[int]:
        """All that runs on it."""
        said = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        return [int(word) for word in said.stdout.split()]

    def kill(self, *, sparing: tuple[int, ...] = ()) -> None:
        """With SIGKILL, all at once: stopped first, so that none can tell of another's end."""
        for what in (signal.SIGSTOP, signal.SIGKILL):
            for pid in self.pids():
                if pid not in sparing:
                    with suppress(ProcessLookupError):
                        os.kill(pid, what)
        while pids := [pid for pid in self.pids() if pid not in sparing]:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        if self.ray is not None:
            self.ray.wait()

    def preempt(self, notice: float = 5.0) -> None:
        """As a spot machine is taken away: its raylet is told to end, and some seconds later nothing is left."""
        for pid in self.pids():
            with suppress(OSError):
                if "raylet/raylet" in Path(f"/proc/{pid}/cmdline").read_text():
                    os.kill(pid, signal.SIGTERM)
        time.sleep(notice)
        self.kill()

    def cut(self) -> None:
        """No packet comes or goes: the cable is out."""
        ip("-n", self.cluster.switch, "link", "set", f"v{self.name}", "down")

    def heal(self) -> None:
        """The cable is in again."""
        ip("-n", self.cluster.switch, "link", "set", f"v{self.name}", "up")

    @contextmanager
    def slowed(self, share: float) -> Iterator[None]:
        """All its processes together get this share of a core."""
        group = CPU / f"archsearch-{self.name}"
        group.mkdir()
        try:
            (group / "cpu.cfs_quota_us").write_text(str(int(100_000 * share)))
            for pid in self.pids():
                with suppress(OSError):
                    (group / "cgroup.procs").write_text(str(pid))
            yield
        finally:
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(OSError):
                    (CPU / "cgroup.procs").write_text(pid)
            time.sleep(0.2)
            group.rmdir()


@dataclass
class Cluster:
    """The machines behind one bridge. The first is the head, and where the driver runs."""

    place: Path
    mark: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:5])
    machines: list[Machine] = field(default_factory=list)

    @property
    def switch(self) -> str:
        """The namespace of the bridge."""
        return f"as{self.id}s"

    @property
    def head(self) -> Machine:
        """The first."""
        return self.machines[0]

    @property
    def address(self) -> str:
        """What --address is given."""
        return f"{self.head.address}:{PORT}"

    def machine(self, *, hidden: tuple[Path, ...] = (), path: tuple[Path, ...] = (), alone: bool = False) -> Machine:
        """One more, with a wire to the bridge and no Ray yet. `path`: folders that its Python looks in first. `alone`:
        it does not see the others' processes, among which Ray looks for its own."""
        number = len(self.machines) + 1
        name, address = f"as{self.id}{number}", f"10.77.0.{number}"
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", f"v{name}", "netns", self.switch)
        ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", self.switch, "link", "set", f"v{name}", "master", "switch")
        ip("-n", self.switch, "link", "set", f"v{name}", "up")
        environment = {
            **marked(self.mark),
            "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT))),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_raylet_start_wait_time_s": str(int(STARTED_WITHIN)),  # 30 otherwise
        }
        made = Machine(self, name, address, environment, hidden, alone)
        self.machines.append(made)
        return made

    def node(
        self, cpus: int = 1, *, wait: bool = True, autoscaling: Path | None = None, **words: tuple[Path, ...]
    ) -> Machine:
        """One more machine, a node of the Ray: the first is its head, with this file's autoscaler where one is given
        (Ray's own provider of nodes that are processes of the head's machine)."""
        machine, first = self.machine(**words), len(self.machines) == 1
        ray = str(Path(sys.executable).parent / "ray")
        role = ["--head", "--port", str(PORT), "--include-dashboard", "false", "--temp-dir", f"/tmp/as{self.id}"]
        if not first:
            role = ["--address", self.address]
        if autoscaling is not None:
            machine.environment |= {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
            role += ["--autoscaling-config", str(autoscaling)]
        # Small: a node takes a third of the machine's memory for its object store otherwise.
        sizes = ["--num-cpus", str(cpus), "--object-store-memory", str(2**28), "--node-ip-address", machine.address]
        log = (self.place / f"{machine.name}.log").open("wb")
        command = [ray, "start", "--block", "--disable-usage-stats", *role, *sizes]
        machine.ray = machine.start(*command, stdout=log, stderr=log)
        log.close()
        if wait:
            self.wait_for(machine)
        return machine

    def wait_for(self, machine: Machine) -> None:
        """Until its Ray says that it runs."""
        until, log = time.monotonic() + STARTED_WITHIN, self.place / f"{machine.name}.log"
        while b"Ray runtime started" not in log.read_bytes():
            assert machine.ray is not None and machine.ray.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)

    def search(self, *words: str, on: Machine | None = None) -> subprocess.Popen[str]:
        """`archsearch`, on the head or another machine."""
        command = [sys.executable, "-m", "archsearch", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": self.place}
        return (on or self.head).start(*command, **pipes)

    def close(self) -> None:
        """Nothing is left: no process, no namespace, no folder."""
        for machine in self.machines:
            machine.kill()
            ip("netns", "del", machine.name)
        ip("netns", "del", self.switch)
        shutil.rmtree(f"/tmp/as{self.id}", ignore_errors=True)


@contextmanager
def cluster(place: Path, mark: str) -> Iterator[Cluster]:
    """An empty one; `node` brings it up, machine by machine."""
    made = Cluster(place, mark)
    ip("netns", "add", made.switch)
    try:
        ip("-n", made.switch, "link", "add", "switch", "type", "bridge")
        ip("-n", made.switch, "link", "set", "switch", "up")
        yield made
    finally:
        made.close()
