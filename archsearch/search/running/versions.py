"""What a process runs, and how two of them differ. Standard library alone, each function by itself: cluster.py sends
`installed` to nodes where archsearch may not be installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def installed(files: Sequence[str] = ()) -> dict[str, str]:
    """Versions here of what a trial's figures depend on: Python, torch, ray, archsearch (with eight hex digits of its
    source, since a checkout changes without its number). `files`: the first of these paths that cannot be read."""
    import hashlib
    import os
    import platform
    from importlib import metadata, util
    from pathlib import Path

    def version(name: str) -> str:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return "not installed"

    versions = {"python": platform.python_version(), "torch": version("torch"), "ray": version("ray")}
    spec = util.find_spec("archsearch")
    if spec is None or spec.origin is None:
        versions["archsearch"] = "not installed"
    else:
        source, folder = hashlib.sha256(), Path(spec.origin).parent
        for path in sorted(folder.rglob("*.py")):
            source.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        versions["archsearch"] = f"source {source.hexdigest()[:8]}"
        try:
            from archsearch.version import __version__

            versions["archsearch"] = f"{__version__} ({versions['archsearch']})"
        except Exception as error:  # its own needs are missing there, pydantic or PyYAML
            versions["archsearch"] += f", which cannot be imported: {type(error).__name__}: {error}"[:100]
    missing = [file for file in files if not os.access(file, os.R_OK)]
    return versions | ({"missing": missing[0]} if missing else {})


def differences(local: Mapping[str, str], remote: Mapping[str, str]) -> list[str]:
    """How a node's versions differ from this process's, a text each: `torch 2.14.0 (here 2.15.0)`; none where they do
    not."""
    texts = [
        f"{name} {remote.get(name)} (here {version})" for name, version in local.items() if remote.get(name) != version
    ]
    return texts + ([f"no {remote['missing']}"] if "missing" in remote else [])
