"""What Ray reads from the environment when it is imported, and not again: set before that."""

from __future__ import annotations

import os
import platform
import secrets
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from archsearch.experiment.processes import malloc_variables, set_waiting

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no reports home
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # of workers that cannot start: the search's own message has the cause
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger is the log
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the ledger says why a worker died, in a line
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is the driver's
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # nothing is ever restored from Tune's own snapshots
    "TUNE_WARN_THRESHOLD_S": "3600",
    "TUNE_MAX_PENDING_TRIALS_PG": "200",  # lanes that start at once: as many as Tune's own samplers may, not one
}


LONGEST_TMPDIR = 27  # bytes: as12345678/r/session_DATE_TIME_PID/sockets/plasma_store and a number follow


def prepare(address: str | None) -> None:
    """Settles Ray's environment, leaving what the user has set. Before the first `import ray`.

    A Ray of our own (no `address`) asks for a token that only its processes know: other users of the
    machine reach its loopback too. At an address, the user's own RAY_AUTH_MODE and token hold.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    set_waiting()
    if address is not None:
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # of 35 s each; of 20 it waits for a head that is gone
        return
    # Of 5 s. A driver that is not answered in time while it starts locks up where it should fail (Ray 2.60).
    os.environ.setdefault("RAY_gcs_rpc_server_connect_timeout_s", "60")
    # Ray's own processes have jemalloc; this passes it on to its workers, which would start without.
    if malloc_variables():
        os.environ.setdefault("RAY_LD_PRELOAD_ON_WORKERS", "1")
    # Ray takes 127.0.0.1 for the address that other machines know this one by, and listens there, unless it is told
    # that no cluster can be. The variable's name is older than its meaning.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))


def has_long_tmpdir() -> bool:
    """Whether RAY_TMPDIR, or without it TMPDIR, is too long for Ray's sockets: a path of one has 107 bytes at most."""
    return len(os.fsencode(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR", ""))) > LONGEST_TMPDIR


def circumstances() -> dict[str, Any]:
    """What a session says of itself in the ledger: Python, the versions of what decides results, the machine."""
    versions = {}
    for name in ("torch", "torchvision", "numpy", "ray", "optuna"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    machine = {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()}
    return {"python": platform.python_version(), "versions": versions, "machine": machine}


class RayFailed(RuntimeError):
    """Ray did not start, or nobody answers at the address."""


class HeadGone(RuntimeError):
    """The cluster's head does not answer any more."""
