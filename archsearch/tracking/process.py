"""What MLflow keeps for a whole process: variables of the environment, levels of loggers, the current store.

`sync` runs in other people's programs and notebooks, which may track work of their own: all is put back.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLES = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the follower has its own patience
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where `sync --json` prints its document
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
_NOISY = ("alembic", "mlflow")  # MLflow's import sets them to INFO, on the terminal


def environment() -> dict[str, str]:
    """This process's environment, with MLflow quiet and quick to give up, for a child; what the user set wins."""
    return {**_VARIABLES, **os.environ}


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """MLflow is quiet and quick to give up in this process; what the user set wins."""
    added = [name for name in _VARIABLES if name not in os.environ]
    os.environ.update({name: _VARIABLES[name] for name in added})
    try:
        import mlflow.tracking  # noqa: F401

        loggers = [logging.getLogger(name) for name in _NOISY]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def current_store(uri: str) -> Iterator[None]:
    """MLflow's functions that take no client use this store. MLflow writes its addresses into the environment too."""
    import mlflow

    tracking = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    registry = os.environ.get("MLFLOW_REGISTRY_URI")
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(tracking)
        mlflow.set_registry_uri(registry)
        if registry is None:  # which MLflow does not take out
            os.environ.pop("MLFLOW_REGISTRY_URI", None)
