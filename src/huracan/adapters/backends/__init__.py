"""Where jobs run: the orchestrator, the supervised pool of worker processes, and the same workers on Dask and Ray."""

from huracan.adapters.backends.asyncio_pool import AsyncioPool
from huracan.adapters.backends.cluster import ClusterBackend
from huracan.adapters.backends.in_process import InProcess
from huracan.adapters.backends.orchestrator import TrainingOrchestrator

__all__ = ["AsyncioPool", "ClusterBackend", "InProcess", "TrainingOrchestrator"]
