"""MLflow's pages on this machine, opened at the search."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from archsearch.experiment import ExperimentFolder
from archsearch.reading.errors import refuse
from archsearch.tracking.address import refuse_unusable_store
from archsearch.tracking.outbox import Outbox, without_password
from archsearch.tracking.process import environment
from archsearch.tracking.store import database_path, resolve_tracking_uri

LOOPBACK, PORT = "127.0.0.1", 5000


@dataclass(frozen=True, kw_only=True)
class View:
    """A page to open. The server behind it ends with `stop`, with the `with` block, or with this process."""

    url: str
    process: subprocess.Popen[bytes] | None

    def wait(self) -> int:
        """Until the server ends; 0 where it is somebody else's."""
        return 0 if self.process is None else self.process.wait()

    def stop(self) -> None:
        """Ends the server."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve(
    folder: ExperimentFolder | None,
    tracking_uri: str | None = None,
    host: str = LOOPBACK,
    port: int = PORT,
    *,
    timeout: float = 180,
) -> View:
    """Starts MLflow's server on a loopback address and returns when it answers (tens of seconds on a small machine).

    A store that is a server itself is only linked to. `folder` None links to all experiments. Raises
    InputError for an address that is not loopback (MLflow asks nobody for a password) or a port in use, and
    RuntimeError, with the server's last words, where it does not come up.
    """
    uri = resolve_tracking_uri(tracking_uri)
    address, path = _address(uri, host, port), _path(folder, uri) or "/#/experiments"
    if uri.startswith(("http://", "https://")):
        return View(url=address + path, process=None)
    check_address(host, port, "MLflow")
    refuse_unusable_store(uri)
    database = database_path(uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "archsearch.tracking.server", host, str(port), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**environment(), "MLFLOW_TRACKING_URI": uri},
        )
        view = View(url=address + path, process=process)
        try:
            up = _answers(f"{address}/health", process, timeout)
        except BaseException:
            view.stop()
            raise
        if not up:
            view.stop()
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().split("\n")[-5:]
            raise RuntimeError(without_password("MLflow's server did not start:\n" + "\n".join(lines)))
    return view


def page_of(folder: ExperimentFolder, tracking_uri: str | None = None) -> str | None:
    """Where MLflow shows the search: on its server, or on this machine while `serve` runs at its usual port; None
    where that store has not been told of it yet. Raises OSError where the outbox cannot be read."""
    uri = resolve_tracking_uri(tracking_uri)
    path = _path(folder, uri)
    return _address(uri, LOOPBACK, PORT) + path if path else None


def _path(folder: ExperimentFolder | None, uri: str) -> str | None:
    if folder is None or not folder.outbox.is_file():
        return None
    _, experiment, identity = Outbox.peek(folder, uri)
    return (
        experiment
        and f"/#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={identity.search}"
    )


def _address(uri: str, host: str, port: int) -> str:
    if uri.startswith(("http://", "https://")):
        return without_password(uri).rstrip("/")
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def refuse_unusable_address(host: str, port: int, tracking_uri: str | None = None) -> None:
    """Raises InputError as `serve` does for an address at which MLflow's pages cannot be shown; not for a store that is
    a server itself, which shows its own."""
    if not resolve_tracking_uri(tracking_uri).startswith(("http://", "https://")):
        check_address(host, port, "MLflow")


def check_address(host: str, port: int, pages: str) -> None:
    """Raises InputError for an address that is not loopback, since whoever reaches it sees these pages, and for a port
    in use."""
    try:
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise refuse(
            f"{pages} would be open to everybody on {host}, since it asks for no password",
            allowed="a loopback address, such as 127.0.0.1",
            hint="reach it through an SSH tunnel",
            file="--host",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise refuse(
                f"port {port} cannot be used: {error.strerror}", hint="choose another --port", file="--port"
            ) from error


def _answers(url: str, process: subprocess.Popen[bytes], timeout: float) -> bool:
    until = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False
