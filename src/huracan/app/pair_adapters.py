"""The adapters that the work on one pair touches, opened from the plain words that travel to a worker."""

import os
from typing import Any

from huracan.adapters.artefacts import open_artefacts
from huracan.adapters.endpoints import loopback_endpoint
from huracan.adapters.lake import DeltaLake
from huracan.app.exchange import market_data
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.inputs import PairPorts


def pair_ports(facts: dict[str, Any]) -> PairPorts:
    """Lake, artefacts and exchange for the work on pairs."""
    allow_http = loopback_endpoint(os.environ)
    return PairPorts(
        lake=DeltaLake(facts["lake"], allow_http=allow_http),
        artefacts=Artefacts(open_artefacts(facts["artefacts"], allow_http=allow_http)),
        market=market_data(facts),
    )
