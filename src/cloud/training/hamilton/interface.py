"""Documented path of Hamilton."""

from huracan.hamilton import HamiltonDoNotTradeList as HamiltonDoNotTradeList
from huracan.hamilton import HamiltonInterface as HamiltonInterface
from huracan.hamilton import HamiltonModelLoader as HamiltonModelLoader
from huracan.hamilton import HamiltonRankingTable as HamiltonRankingTable
from huracan.hamilton import ModelLoadError as ModelLoadError
from huracan.hamilton import ModelMetadata as ModelMetadata
from huracan.hamilton import PredictionResult as PredictionResult
from huracan.hamilton import RankingEntry as RankingEntry
