"""The trading side: verify, load, predict, rank, block. Reads published bundles and nothing else."""

from huracan.errors import ModelLoadError
from huracan.hamilton.blocks import HamiltonDoNotTradeList
from huracan.hamilton.interface import HamiltonInterface
from huracan.hamilton.live import LiveInputs, instrument_of, market_context
from huracan.hamilton.loader import HamiltonModelLoader
from huracan.hamilton.ranking import HamiltonRankingTable
from huracan.hamilton.records import ModelMetadata, PredictionResult, RankingEntry
from huracan.hamilton.source import FolderSource

__all__ = [
    "FolderSource",
    "HamiltonDoNotTradeList",
    "HamiltonInterface",
    "HamiltonModelLoader",
    "HamiltonRankingTable",
    "LiveInputs",
    "ModelLoadError",
    "ModelMetadata",
    "PredictionResult",
    "RankingEntry",
    "instrument_of",
    "market_context",
]
