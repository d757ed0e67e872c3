"""Where jobs run: the orchestrator, and the supervised pool of worker processes behind it."""

from huracan.adapters.backends.asyncio_pool import AsyncioPool
from huracan.adapters.backends.in_process import InProcess
from huracan.adapters.backends.orchestrator import TrainingOrchestrator

__all__ = ["AsyncioPool", "InProcess", "TrainingOrchestrator"]
