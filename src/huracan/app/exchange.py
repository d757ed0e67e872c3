"""The exchange client of a run, and what a worker needs to open the same one."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huracan.adapters.binance import BinanceMarketData, WeightBudget
from huracan.domain.addresses import is_loopback
from huracan.sections import BinanceSettings
from huracan.settings import Settings

WEIGHT_SHARE = 0.8
"""Share of the exchange's weight limit that a run may use."""


def wiring_facts(settings: Settings, workdir: Path) -> dict[str, Any]:
    """What a worker needs to open the same adapters: URLs and folders, no secrets."""
    storage = settings.storage
    return {
        "lake": f"{storage.lake_url or workdir / 'lake'}/{settings.training.base_interval}",
        "artefacts": storage.artefacts_url or str(workdir / "artefacts"),
        "workdir": str(workdir),
        "binance": settings.binance.model_dump(),
        "quote_per_gbp": settings.costs.quote_per_gbp,
        "interval": settings.training.base_interval,
    }


def market_data(facts: dict[str, Any]) -> BinanceMarketData:
    """The exchange client; all workers and runs of this machine together stay within the share that may be used."""
    settings = BinanceSettings(**facts["binance"])
    hosts = [urlsplit(url) for url in (settings.rest_url, settings.futures_url)]
    # Only real exchanges count by address; one on loopback is this workdir's own.
    alone = all(is_loopback(host.hostname or "") for host in hosts)
    workdir = Path(facts["workdir"])
    folder = workdir if alone and workdir.is_dir() else _state_home()
    scope = " ".join(f"{host.hostname}:{host.port or ''}" for host in hosts)
    budget = WeightBudget(share=WEIGHT_SHARE, file=folder / "exchange.sqlite", scope=scope)
    return BinanceMarketData(settings, facts["quote_per_gbp"], interval=facts["interval"], budget=budget)


def _state_home() -> Path:
    from huracan.hamilton.state import state_home  # it brings the serving side's hundred megabytes along

    return state_home()
