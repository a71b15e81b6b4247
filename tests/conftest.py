"""What all tests share."""

import os
import signal
from collections.abc import Iterator

import pytest

CHECKED = ("MLFLOW_", "PYTHON", "XDG_")

# Tests run side by side, most with a thread of torch a core. By default a thread of OpenMP that has nothing to do spins
# for a while: with more threads than cores, that is taken from those that have. Set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background job, whose children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is measured of the device is kept apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an MLflow store with its tables; see `tests.tracking.stores.a_copy`."""
    from archsearch.tracking.store import Store

    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    Store(uri).experiment("warm", "0" * 32)
    return uri


@pytest.fixture(autouse=True)
def _leaves_the_environment() -> Iterator[None]:
    """What a test, or MLflow within it, leaves among these variables would reach the tests after it, in whatever order
    a worker runs them. Other libraries set theirs when they are imported, which cannot be undone."""
    before = {name: value for name, value in os.environ.items() if name.startswith(CHECKED)}
    yield
    after = {name: value for name, value in os.environ.items() if name.startswith(CHECKED)}
    for name in after:
        del os.environ[name]
    os.environ.update(before)
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    assert not changed, f"changed in the environment: {changed}"
