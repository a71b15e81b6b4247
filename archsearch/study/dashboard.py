"""Optuna's dashboard over an experiment's ledger, on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from archsearch.experiment import ExperimentFolder
from archsearch.reading.errors import refuse
from archsearch.study.storage import STUDY, storage_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Quiet(WSGIRequestHandler):
    """Answers requests without a line for each."""

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""


def dashboard(folder: ExperimentFolder, host: str, port: int) -> WSGIServer:
    """A server of Optuna's pages, which follow the ledger and cannot alter it; `serve_forever` runs it.

    Raises InputError where the package optuna-dashboard is not installed, or the experiment cannot be read.
    """
    try:
        from optuna_dashboard import wsgi  # type: ignore[import-untyped]
    except ImportError as error:
        hint = "pip install 'archsearch[dashboard]'"
        raise refuse(f"Optuna's dashboard is not installed: {error}", hint=hint, file="--optuna") from None
    pages = wsgi(storage_of(folder))

    def reading(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            answer: Iterable[bytes] = pages(environ, start)
            return answer
        start("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"reason": "the study of an experiment is a reading of its ledger, and cannot be written"}']

    return make_server(host, port, reading, handler_class=Quiet)


def address(server: WSGIServer) -> str:
    """The page of the experiment."""
    host, port = server.server_address[0], server.server_address[1]
    return f"http://{host!s}:{port}/dashboard/studies/{STUDY}"
