"""The address of a running Ray, looked at before Ray is imported: what cannot work is refused in seconds."""

from __future__ import annotations

import ipaddress
import os
import re
import socket

from archsearch.reading.errors import refuse

AUTO = "auto"
ANSWERS_WITHIN = 5.0  # seconds
FORM = re.compile(r"\[?(?P<host>[^\[\]/]+?)\]?:(?P<port>\d{1,5})")
WORDS = "auto, or HOST:PORT as `ray start --head` prints it"


def refuse_if_unusable(address: str | None) -> None:
    """Raises InputError for what is no address, for one where nobody listens (Ray itself would try for minutes), and
    for one that other machines reach without a token. `auto` is looked up, where Ray's own environment says what it is.
    """
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS") or AUTO
    if address is None or address == AUTO:
        return
    if address.startswith("ray://"):
        raise refuse(
            f"{address!r} is an address of Ray Client",
            allowed=WORDS,
            hint="run archsearch on the head node, or on a machine that joined with `ray start "
            "--address HOST:PORT --num-cpus 0`",
            file="--address",
        )
    match = FORM.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        raise refuse(f"{address!r:.80}", allowed=WORDS, file="--address")
    refuse_without_token(address)
    try:
        socket.create_connection((match["host"], int(match["port"])), timeout=ANSWERS_WITHIN).close()
    except OSError as error:
        raise refuse(
            f"no Ray answers at {address}: {error}",
            allowed="the address that `ray start --head` prints",
            hint="without --address, archsearch starts a local Ray",
            file="--address",
        ) from None


def refuse_without_token(address: str) -> None:
    """Raises InputError for HOST:PORT that other machines reach, unless Ray asks for a token: whoever reaches a Ray
    runs what he likes there. RAY_AUTH_MODE=disabled, said by the user, holds."""
    host = address.rpartition(":")[0].strip("[]")
    if os.environ.get("RAY_AUTH_MODE") or _is_loopback(host):
        return
    raise refuse(
        f"{address} can be reached from other machines, and RAY_AUTH_MODE is not set",
        allowed="RAY_AUTH_MODE=token, here and where `ray start` ran, with the token in RAY_AUTH_TOKEN",
        hint="RAY_AUTH_MODE=disabled declares that nobody else can reach that network; see docs/security.md",
        file="--address",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
