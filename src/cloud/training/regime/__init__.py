"""Documented names of the regime gate."""

from huracan.regimes.gate import RegimeGate as RegimeGate
from huracan.regimes.gate import RegimeGateConfig as RegimeGateConfig
from huracan.regimes.gate import RegimePerformance as RegimePerformance
from huracan.regimes.gate import RegimeType as RegimeType
