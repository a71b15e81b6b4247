"""Downloads, only where the settings say so: a quick probe, torchvision's downloader, a pinned SHA-256.

The probe comes first because importing torchvision takes nine seconds, too long for hearing that there is no
network. The digest comes last because torchvision checks MD5 alone and may fall back to plain HTTP.
"""

from __future__ import annotations

import hashlib
import socket
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from archsearch.data.images import Progress
from archsearch.reading.errors import InputError, refuse
from archsearch.space.settings import DataSettings

PROBE_SECONDS = 3.0


def obtain(
    title: str, site: str, files: list[tuple[str, Path, str]], settings: DataSettings, tell: Progress, *, hint: str
) -> None:
    """Downloads the `files` (URL, target, SHA-256) that are not there, where the settings allow it.

    Raises InputError with the ways out, `hint` the first: `title` names the data set, `site` where it comes from.
    """

    def absent(reason: str) -> InputError:
        return refuse(
            f"data.name: {title} is not in {settings.root}, {reason}",
            hint=f"{hint} in {settings.root}; or set another folder: --set data.root=DIR; or try "
            "the same space on data that needs no download: --set data.name=digits",
        )

    if not settings.download:
        raise absent("and data.download is false")
    if not reachable(site):
        raise absent(f"and {site} cannot be reached")
    try:
        for url, target, sha256 in files:
            if not target.is_file():
                tell(f"downloading {url}")
                fetch(url, target, sha256)
    except OSError as error:
        raise absent(f"and the download failed: {error}") from error


def reachable(url: str, *, seconds: float = PROBE_SECONDS) -> bool:
    """Whether the URL's host, or the proxy before it, takes a connection within this time."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection(address, timeout=seconds).close()
            answered.set()
        except (OSError, UnicodeError):
            pass

    # In a thread, for looking up a name knows no time-out.
    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(seconds)
    return answered.is_set()


def fetch(url: str, target: Path, sha256: str) -> None:
    """Downloads `url` to `target`, which exists afterwards whole or not at all. Raises OSError."""
    from torchvision.datasets.utils import download_url

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
        try:
            with timed():
                download_url(url, folder, filename=target.name)
        except RuntimeError as error:
            raise OSError(str(error)) from error
        arrived = Path(folder) / target.name
        with arrived.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != sha256:
            raise OSError(f"{url} has SHA-256 {digest}, expected {sha256}")
        arrived.replace(target)


@contextmanager
def timed() -> Iterator[None]:
    """Within it a connection that says nothing for 30 seconds fails: torch's and torchvision's downloaders have no
    time-out of their own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
