"""MLflow's server in one process: `python -m archsearch.tracking.server HOST PORT PARENT`.

The store's URI comes in the environment. `mlflow ui` imports MLflow in two processes, one after the other; this
is one process, which sees that its parent is gone, and goes too.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from archsearch.tracking.store import database_path, make_database


def main() -> None:
    """Serves until a signal comes, or the process that started it is gone."""
    host, port, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    uri = os.environ["MLFLOW_TRACKING_URI"]

    import uvicorn
    from mlflow.server import constants

    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = uri
    os.environ[constants.REGISTRY_STORE_URI_ENV_VAR] = uri
    database = database_path(uri)
    artifacts = "mlruns"
    if database is not None:
        make_database(database)
        artifacts = (database.absolute().parent / "artifacts").as_uri()
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = artifacts

    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(uri, uri, artifacts)
    uvicorn.run("mlflow.server.fastapi_app:app", host=host, port=port, log_level="warning")


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    os._exit(1)


if __name__ == "__main__":
    main()
