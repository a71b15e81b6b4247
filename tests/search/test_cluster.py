"""A Ray that locks up while it starts."""

import subprocess
import sys

LOCKED = """
import ctypes
import ray
from archsearch.search.running import cluster
cluster.PATIENCE = 2.0
ray.init = lambda **_: ctypes.PyDLL(None).sleep(120)  # with the interpreter's lock in its hand, as Ray's own lock-up is
with cluster.cluster(None, object_bytes=0):
    pass
"""


def test_a_start_that_locks_up_for_ever_ends_the_process_with_a_word() -> None:
    ran = subprocess.run([sys.executable, "-c", LOCKED], capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 1
    assert "Timeout" in ran.stderr and "in _start" in ran.stderr
