"""The exchange client of a run, and what a worker needs to open the same one."""

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit

from huracan.domain.addresses import is_loopback
from huracan.domain.json import Json
from huracan.sections import BinanceSettings
from huracan.settings import Settings

if TYPE_CHECKING:
    from huracan.adapters.binance import BinanceMarketData

WEIGHT_SHARE = 0.8
"""Share of the exchange's weight limit that a run may use."""


class AdapterPlaces(TypedDict):
    """The URLs and folders of the adapters that a worker opens, no secrets. They travel as JSON beside the plan."""

    lake: str
    artefacts: str
    workdir: str
    binance: dict[str, Json]
    quote_per_gbp: float
    interval: str


def adapter_places(settings: Settings, workdir: Path) -> AdapterPlaces:
    """The places of this configuration in this workdir."""
    storage = settings.storage
    return {
        "lake": f"{storage.lake_url or workdir / 'lake'}/{settings.training.base_interval}",
        "artefacts": storage.artefacts_url or str(workdir / "artefacts"),
        "workdir": str(workdir),
        "binance": settings.binance.model_dump(),
        "quote_per_gbp": settings.costs.quote_per_gbp,
        "interval": settings.training.base_interval,
    }


def market_data(places: AdapterPlaces) -> "BinanceMarketData":
    """The exchange client; all workers and runs of this machine together stay within the share that may be used."""
    from huracan.adapters.binance import BinanceMarketData, WeightBudget  # the HTTP client costs 60 ms

    settings = BinanceSettings.model_validate(places["binance"])
    hosts = [urlsplit(url) for url in (settings.rest_url, settings.futures_url)]
    # Only real exchanges count by address; one on loopback is this workdir's own.
    alone = all(is_loopback(host.hostname or "") for host in hosts)
    workdir = Path(places["workdir"])
    folder = workdir if alone and workdir.is_dir() else _state_home()
    scope = " ".join(f"{host.hostname}:{host.port or ''}" for host in hosts)
    budget = WeightBudget(share=WEIGHT_SHARE, file=folder / "exchange.sqlite", scope=scope)
    return BinanceMarketData(settings, places["quote_per_gbp"], interval=places["interval"], budget=budget)


def _state_home() -> Path:
    from huracan.hamilton.state import state_home  # it brings the serving side's hundred megabytes along

    return state_home()
