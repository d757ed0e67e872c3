"""A Dropbox-compatible server on loopback, for tests and benchmarks: the official SDK talks to it unchanged."""

from huracan.worlds.dropbox.faults import Fault, FaultPlan, load_fault_plan
from huracan.worlds.dropbox.server import DropboxServer
from huracan.worlds.dropbox.tokens import ALL_SCOPES, App
from huracan.worlds.dropbox.tree import content_hash

__all__ = ["ALL_SCOPES", "App", "DropboxServer", "Fault", "FaultPlan", "content_hash", "load_fault_plan"]
