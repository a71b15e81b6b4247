"""Ray itself: a cluster of our own or somebody's, and what it has. Ray Tune is executor.py's.

Apart from it, since importing Ray Tune takes seconds that the workers can use to import what they need.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import ray
from ray._private.services import canonicalize_bootstrap_address

from archsearch.reading.errors import InputError, refuse
from archsearch.search.running.address import AUTO, refuse_if_unusable
from archsearch.search.running.environment import RayFailed
from archsearch.search.running.private import private_folder
from archsearch.search.running.watchdog import killed_after

PACKAGE = Path(__file__).parents[2]  # archsearch itself
FAREWELL = 15.0  # seconds
PATIENCE = 300.0  # seconds that Ray may take to start, or to be joined, on the busiest of machines


@contextmanager
def cluster(address: str | None, *, object_bytes: int, ship: bool = False) -> Iterator[None]:
    """A Ray of our own on this machine's loopback, or the running one at `address`; left behind as it was. With `ship`
    the running one's workers get this archsearch, the package as it lies here.

    Raises RayFailed, and InputError where nobody answers at the address, or Ray refuses. On a busy machine Ray's own
    processes may miss their deadlines: a Ray of our own is tried twice.
    """
    with private_folder() if address is None else nullcontext() as folder:
        # Ray (2.60) may lock up for ever while it holds the interpreter, so that no thread and no Ctrl-C is heard.
        with killed_after(PATIENCE):
            if folder is None:
                _join(str(address), ship)
            else:
                _start(object_bytes, folder)
        try:
            yield
        finally:
            _leave(owned=folder is not None)


def _start(object_bytes: int, folder: Path) -> None:
    """Starts a Ray whose session, with its sockets and logs, lies in the folder."""
    for attempt in (1, 2):
        try:
            ray.init(
                address="local",
                _node_ip_address="127.0.0.1",
                num_cpus=os.cpu_count(),
                _temp_dir=str(folder / "r"),  # Ray opens it to everybody (0777), but not what it lies in
                object_store_memory=2 * object_bytes + 2**28,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
            return
        except Exception as error:
            ray.shutdown()
            if attempt == 2:
                raise RayFailed(f"Ray did not start: {_in_a_line(error)}") from error


def _join(address: str, ship: bool) -> None:
    """Joins the Ray at the address. It takes a minute at most: that somebody listens is known (address.py) but for
    `auto`."""
    try:
        if address == AUTO:
            address = canonicalize_bootstrap_address(AUTO)
            refuse_if_unusable(address)
        env = {"py_modules": [str(PACKAGE)]} if ship else None
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", runtime_env=env)
    except InputError:
        raise
    except Exception as error:
        ray.shutdown()
        raise refuse(
            f"the Ray at {address} cannot be joined: {_in_a_line(error)}",
            allowed="auto or HOST:PORT, on a machine that is one of its nodes",
            hint="`ray start --address HOST:PORT --num-cpus 0` makes this machine a node; Python, "
            "Ray, RAY_AUTH_MODE and the token must be the same as on the head",
            file="--address",
        ) from error


def _leave(*, owned: bool) -> None:
    """Leaves Ray. A cluster that is not owned is left within seconds: where its head is gone, Ray would wait for it."""
    if owned:
        ray.shutdown()
        return
    leaving = threading.Thread(target=ray.shutdown, daemon=True)
    leaving.start()
    leaving.join(FAREWELL)
    if leaving.is_alive():
        atexit.unregister(ray.shutdown)


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
