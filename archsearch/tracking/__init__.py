"""MLflow follows the ledger, in a process of its own. No other room imports MLflow."""

from archsearch.tracking.address import refuse_unusable_store
from archsearch.tracking.follower import BeingSent, Sent, TrackingError, backlog, copied_from, follow, sync
from archsearch.tracking.identity import Standing
from archsearch.tracking.launcher import drain, start_follower
from archsearch.tracking.outbox import without_password
from archsearch.tracking.store import resolve_tracking_uri
from archsearch.tracking.ui import View, page_of, refuse_unusable_address, serve
from archsearch.tracking.winner import register

__all__ = [
    "BeingSent",
    "Sent",
    "Standing",
    "TrackingError",
    "View",
    "backlog",
    "copied_from",
    "drain",
    "follow",
    "page_of",
    "refuse_unusable_address",
    "refuse_unusable_store",
    "register",
    "resolve_tracking_uri",
    "serve",
    "start_follower",
    "sync",
    "without_password",
]
