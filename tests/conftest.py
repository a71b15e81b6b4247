"""What all tests share."""

import os
import signal
from collections.abc import Iterator

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background job, whose children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is measured of the device is kept apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _leaves_the_environment() -> Iterator[None]:
    """What a test, or MLflow within it, leaves in the environment would reach the tests after it, in whatever order a
    worker runs them."""
    before = dict(os.environ)
    yield
    names = {name for name in {*os.environ, *before} if name != "PYTEST_CURRENT_TEST" and not name.startswith("TORCH")}
    changed = {name for name in names if os.environ.get(name) != before.get(name)}
    for name in changed:
        if name in before:
            os.environ[name] = before[name]
        else:
            os.environ.pop(name)
    assert not changed, f"changed in the environment: {sorted(changed)}"
