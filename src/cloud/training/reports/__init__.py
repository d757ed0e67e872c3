"""Documented names of reports."""

from huracan.adapters.reports import ReportsGenerator as ReportsGenerator
from huracan.reports import CostReport as CostReport
from huracan.reports import DataIntegrityReport as DataIntegrityReport
from huracan.reports import DecisionLog as DecisionLog
from huracan.reports import MetricsReport as MetricsReport
from huracan.reports import RegimeMapReport as RegimeMapReport
