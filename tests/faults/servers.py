"""Tracking servers that misbehave, and a search that goes on beside them."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.tracking import backlog, drain, serve, start_follower, sync
from tests.faults.driving import drive, new
from tests.faults.invariants import check_tracking, check_whole


class _Broken(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(500)

    do_POST = do_PATCH = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering_500(port: int = 0) -> Iterator[int]:
    """An HTTP server that has nothing else to say; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Broken)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def never_answering(port: int = 0) -> Iterator[int]:
    """A port that takes connections and says nothing, as a stopped process's does."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(100)
        yield listening.getsockname()[1]


@contextmanager
def nobody(port: int = 0) -> Iterator[int]:
    """A port where nobody listens."""
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    yield port


AWAY = {"killed": nobody, "stopped": never_answering, "answering 500": answering_500}


def through_an_outage(place: Path, kind: str, *, seconds: float, store: str) -> dict[str, float]:
    """A search of about 1.5 times `seconds` with MLflow's real server, which is away for so long in the middle of it.
    Every point is there once in the end. The driver's CPU seconds, and how many events waited at most."""
    folder, most = new(place), 0
    with nobody() as port:
        uri = f"http://127.0.0.1:{port}"
    began, follower, pause = time.monotonic(), None, 1.5 * seconds / 18  # reports
    with serve(None, store, port=port) as view:
        with Ledger.read(folder.ledger) as ledger:
            assert ledger.last_event() == 0

        def away() -> None:
            nonlocal most
            _until(lambda: folder.outbox.exists() and backlog(folder, uri) < _events(folder) - 5)
            assert view.process is not None
            if kind == "stopped":
                os.kill(view.process.pid, signal.SIGSTOP)
                time.sleep(seconds)
                most = backlog(folder, uri)
                os.kill(view.process.pid, signal.SIGCONT)
                return
            view.process.kill()
            view.process.wait()
            with AWAY[kind](port):
                time.sleep(seconds)
                most = backlog(folder, uri)

        outage = threading.Thread(target=away)
        cpu = time.process_time()

        def paced(_: object) -> None:
            nonlocal follower
            if follower is None:
                follower = start_follower(folder, uri)
                outage.start()
            time.sleep(pause)

        drive(folder, after_each=paced)
        cpu, took = time.process_time() - cpu, time.monotonic() - began
        check_whole(folder, planned=8)
        outage.join()
        assert most > 0, "nothing waited while it was away, or the first points never came"
        if kind != "stopped":
            with serve(None, store, port=port):
                _arrive(folder, uri, follower)
        else:
            _arrive(folder, uri, follower)
    check_tracking(folder, store)
    return {"seconds": took, "driver_cpu": cpu, "waited_at_most": most}


def _arrive(folder: ExperimentFolder, uri: str, follower: object) -> None:
    drain(follower, timeout=120)  # type: ignore[arg-type]
    with redirect_stdout(StringIO()) as said:
        assert sync(folder, uri).remaining == 0
    assert said.getvalue() == "", "stdout is for `sync --json`"


def _events(folder: ExperimentFolder) -> int:
    with Ledger.read(folder.ledger) as ledger:
        return ledger.last_event()


def _until(condition: object) -> None:
    until = time.monotonic() + 300
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, "the first points never came"
        time.sleep(0.2)
