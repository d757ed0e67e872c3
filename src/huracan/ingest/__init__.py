"""Step 2: raw rows to bars that later steps may trust, with a report of everything found on the way."""

from huracan.ingest.config import IngestConfig
from huracan.ingest.coverage import missing_by_month
from huracan.ingest.freshness import median_daily_quote, silence_minutes, staleness_minutes
from huracan.ingest.funding import clean_settlements
from huracan.ingest.hashing import values_hash
from huracan.ingest.listings import stored_listings
from huracan.ingest.spread import edge_spread_bps
from huracan.ingest.validate import validate_bars

__all__ = [
    "IngestConfig",
    "clean_settlements",
    "edge_spread_bps",
    "median_daily_quote",
    "missing_by_month",
    "silence_minutes",
    "staleness_minutes",
    "stored_listings",
    "validate_bars",
    "values_hash",
]
