"""The file system that a folder lies on, and which journal SQLite may keep there.

SQLite's write-ahead log needs memory that all processes of a database share, hence one machine (sqlite.org/wal.html).
On a network file system, where the driver and its readers may be on several machines, databases keep a rollback
journal: one process writes, and readers open the file read-only, so that even where the locks of two machines do not
see each other a reader can fail, but never change anything. Object stores mounted as folders have neither locks nor
writing in the middle of a file: nothing can be written there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from archsearch.reading.errors import InputError, refuse

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "wekafs",
})  # fmt: skip
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.gocryptfs", "fuse.encfs"})
_OBJECT_STORES = frozenset({
    "blobfuse", "blobfuse2", "gcsfuse", "geesefs", "goofys", "mountpoint-s3", "ossfs", "rclone", "s3backer", "s3fs",
    "s3ql",
})  # fmt: skip
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
_LOCAL_OUTPUT = "put it on a local disk with --output, and copy it from there"


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """A mounted file system: its type as Linux names it (nfs4, lustre, fuse.sshfs, ext4, ...; empty where the system
    does not tell), where it is mounted, and what is mounted."""

    type: str
    mount: str
    source: str = ""

    @property
    def is_network(self) -> bool:
        """Whether several machines may have it mounted."""
        fuse = self.type == "fuse" or self.type.startswith("fuse.")
        return self.type in _NETWORK or (fuse and self.type not in _LOCAL_FUSE)

    @property
    def is_object_store(self) -> bool:
        """Whether it is an object store mounted as a folder."""
        return self.is_network and bool(_OBJECT_STORES & {self.type.removeprefix("fuse."), self.source})

    def __str__(self) -> str:
        return f"{self.type} ({self.mount})"


def file_system(path: Path) -> FileSystem:
    """The file system of `path`, or of the folder in which it would be made."""
    absolute = os.path.realpath(path)
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return FileSystem(type="", mount="/")
    best = FileSystem(type="", mount="")
    for line in lines:
        place, _, what = line.partition(" - ")
        mount, (kind, source, *_) = _unescaped(place.split(" ")[4]), what.split(" ")
        holds = absolute == mount or absolute.startswith(mount.rstrip("/") + "/")
        if holds and len(mount) >= len(best.mount):  # of two at one point the later one hides the other
            best = FileSystem(type=kind, mount=mount, source=_unescaped(source))
    return best


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def journal_mode(path: Path) -> Literal["WAL", "TRUNCATE"]:
    """SQLite's journal mode for a database at `path` that one process writes and others read."""
    return "TRUNCATE" if file_system(path).is_network else "WAL"


def consequence(system: FileSystem) -> str:
    """What follows for an experiment on this network file system."""
    if system.is_object_store:
        return f"an object store, on which no experiment can be: {_LOCAL_OUTPUT}"
    return "a network file system: ledgers keep a rollback journal there, slower than on a local disk (--output)"


def note_of(path: Path) -> str | None:
    """What a person should know of an experiment at `path` because of its file system; None on a local one."""
    system = file_system(path)
    return f"{path} is on {system}, {consequence(system)}" if system.is_network else None


def refuse_object_store(path: Path) -> None:
    """Raises InputError where an experiment at `path` would be on an object store."""
    system = file_system(path)
    if system.is_object_store:
        problem = f"the folder {path} is on {system}, an object store, on which a database cannot be written"
        raise refuse(problem, allowed="a file system with locks", hint=_LOCAL_OUTPUT, file="--output")


def refuse_without_locks(path: Path) -> None:
    """Makes the file `path`, locks it as drivers and SQLite do, and deletes it. Raises InputError where the file system
    has no locks, for two drivers could write one ledger; OSError where the file cannot be made."""
    with path.open("xb") as file:
        try:
            for lock in (fcntl.flock, fcntl.lockf):
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock(file, fcntl.LOCK_UN)
        except OSError as error:
            raise (no_locks(error, path) or error) from error
        finally:
            path.unlink()


def no_locks(error: OSError, path: Path) -> InputError | None:
    """What to raise where this error of locking `path` says that its file system has no locks; None for another."""
    if error.errno not in _NO_LOCKS:
        return None
    problem = f"the file system of {path.parent}, {file_system(path)}, has no locks ({error.strerror})"
    hint = f"mount it with locks (Lustre: -o flock), or {_LOCAL_OUTPUT}"
    return refuse(problem, hint=hint, file=str(path.parent))
