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
from pathlib import Path
from urllib.parse import urlsplit

PROBE_SECONDS = 3.0


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
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(30)  # torchvision's downloader has no time-out of its own
        try:
            download_url(url, folder, filename=target.name)
        except RuntimeError as error:
            raise OSError(str(error)) from error
        finally:
            socket.setdefaulttimeout(before)
        arrived = Path(folder) / target.name
        with arrived.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != sha256:
            raise OSError(f"{url} came with SHA-256 {digest}, expected {sha256}")
        arrived.replace(target)
