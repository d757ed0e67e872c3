"""What the driver and its gateway say to each other: settings first, then numbered requests and replies."""

from typing import Literal, TypedDict

from huracan.adapters.backends.supervisor import SupervisorSettings
from huracan.adapters.backends.worker import Reply


class ClusterSettings(TypedDict):
    """What a cluster is made with."""

    address: str | None
    workers: int
    folder: str
    supervisor: SupervisorSettings
    start_s: float


class GatewaySettings(TypedDict):
    """The first message: which cluster, and what `Nodes` is made with. Dask gives no GPUs."""

    kind: Literal["dask", "ray"]
    cluster: ClusterSettings
    gpu_per_worker: float
    reserve: int
    code: str | None
    landmarks: list[str]
    no_node_s: float


class RunRequest(TypedDict):
    """Run an encoded job (base64) under a token of the driver's; `name` describes the job."""

    op: Literal["run"]
    token: str
    message: str
    name: str


class CancelRequest(TypedDict):
    """End the job of a token."""

    op: Literal["cancel"]
    token: str


class MachinesRequest(TypedDict):
    """Say which machines there are."""

    op: Literal["machines"]


Request = RunRequest | CancelRequest | MachinesRequest


class NumberedRequest(TypedDict):
    """A request with the number that its reply carries."""

    id: int
    request: Request


class NumberedReply(TypedDict):
    """A reply to the request of that number; 0 is the start."""

    id: int
    reply: Reply
