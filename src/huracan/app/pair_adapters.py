"""The adapters that the work on one pair touches, opened from the plain words that travel to a worker."""

import os

from huracan.adapters.artefacts import open_artefacts
from huracan.adapters.endpoints import loopback_endpoint
from huracan.adapters.lake import DeltaLake
from huracan.app.exchange import AdapterPlaces, market_data
from huracan.night.jobs.artefacts import Artefacts
from huracan.night.jobs.inputs import PairPorts


def pair_ports(places: AdapterPlaces) -> PairPorts:
    """Lake, artefacts and exchange for the work on pairs."""
    allow_http = loopback_endpoint(os.environ)
    return PairPorts(
        lake=DeltaLake(places["lake"], allow_http=allow_http),
        artefacts=Artefacts(open_artefacts(places["artefacts"], allow_http=allow_http)),
        market=market_data(places),
    )
