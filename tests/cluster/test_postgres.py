"""launch/tracking/up for real: MLflow on PostgreSQL, with and without a password, beside a search of four workers."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from archsearch.data.datasets import load_images
from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace
from archsearch.tracking import TrackingError, drain, start_follower, sync
from tests.faults.driving import drive, new
from tests.faults.invariants import asking, check_gone, check_tracking, check_whole, marked

UP = Path(__file__).parents[2] / "launch" / "tracking" / "up"
POSTGRES = bool(list(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or shutil.which("initdb"))


@dataclass(frozen=True)
class Server:
    """Where `up` has brought it up, and its words."""

    folder: Path
    uri: str
    said: str

    @property
    def database(self) -> str:
        """For psycopg2: the socket is the way in."""
        return f"postgresql://mlflow@/mlflow?host={self.folder}/socket"


@contextmanager
def brought_up(mark: str, *options: str) -> Iterator[Server]:
    """`up` in a folder that PostgreSQL's own user can reach, and that is gone afterwards with both servers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = marked(mark) | {"ARCHSEARCH_BIN": str(Path(sys.executable).parent)}
    folder = Path(tempfile.mkdtemp(prefix="archsearch-tracking-"))
    command = [str(UP), str(folder), "--port", str(port), *options]
    log = folder / "up.log"
    try:
        with log.open("wb") as out:
            process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
        until = time.monotonic() + 900
        while "MLflow is up" not in log.read_text():
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.5)
        yield Server(folder=folder, uri=f"http://127.0.0.1:{port}", said=log.read_text())
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(120) == 0, log.read_text()
        check_gone(mark)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(120)
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(not POSTGRES, reason="PostgreSQL is not installed here (Debian: postgresql)")
@pytest.mark.parametrize("password", [False, True], ids=["open", "password"])
def test_a_search_of_four_workers_is_in_postgresql_each_point_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: bool
) -> None:
    if password and importlib.util.find_spec("flask_wtf") is None:
        pytest.skip("MLflow's passwords need Flask-WTF: pip install 'mlflow[auth]'")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    with brought_up(f"postgres-{tmp_path.name}", *([] if password else ["--open"])) as server:
        if password:
            secret = (server.folder / "admin-password").read_text().strip()
            assert secret not in server.said and (server.folder / "admin-password").stat().st_mode & 0o77 == 0
            _refused(tmp_path / "no", server, monkeypatch, user="", password="")
            _refused(tmp_path / "wrong", server, monkeypatch, user="admin", password="hunter2")
            monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", secret)
        folder, follower = new(tmp_path, "search.trials=10"), None

        def beside(_: object) -> None:
            nonlocal follower
            follower = follower or start_follower(folder, server.uri)

        drive(folder, _worker(load_space(folder.space_yaml)), workers=4, after_each=beside)
        check_whole(folder, planned=10)
        assert follower is not None
        drain(follower, timeout=600)
        assert sync(folder, server.uri).remaining == 0
        check_tracking(folder, server.database)
        with asking(server.database) as ask:
            (kept,) = ask("SELECT count(*) FROM metrics", ())[0]
        assert sync(folder, server.uri).remaining == 0
        with asking(server.database) as ask:
            assert ask("SELECT count(*) FROM metrics", ()) == [(kept,)], "a second sync has added points"
        stored = {file.name: file.read_text() for file in (server.folder / "artifacts").rglob("*.yaml")}
        assert stored["best.yaml"] == folder.best_yaml.read_text()


def _worker(space: SearchSpace) -> object:
    """Real training, in this process."""
    from archsearch.search.running.worker import TrialWorker

    images = load_images(space.data)
    return lambda space: TrialWorker(images, space.training, threads=1, save_every=math.inf)


def _refused(place: Path, server: Server, monkeypatch: pytest.MonkeyPatch, *, user: str, password: str) -> None:
    """Nobody writes without the password; what is said holds no password."""
    for name, value in (("USERNAME", user), ("PASSWORD", password)):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
        if value:
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    folder = new(place)
    with pytest.raises(TrackingError, match=r"401|authenticated") as refused:
        sync(folder, server.uri)
    assert not password or password not in str(refused.value)
