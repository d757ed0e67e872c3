"""What became of the members while the night ran: the universe is frozen at its start, the exchange is not."""

from collections.abc import Iterable

from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate


def delisted_members(members: Iterable[Candidate], listed: Iterable[Instrument]) -> dict[str, str]:
    """Why members are no longer what they were when the universe was built, by coin; nothing for all others.

    A member is gone when the exchange no longer lists its symbol (delisted or renamed), does not let it trade, or lists
    something else under it: other assets, another contract, another day of listing.
    """
    now = {(one.market, one.symbol): one for one in listed}
    found = ((member.instrument, now.get((member.instrument.market, member.instrument.symbol))) for member in members)
    return {then.coin: reason for then, today in found if (reason := _change(then, today))}


def _change(then: Instrument, today: Instrument | None) -> str | None:
    if today is None:
        return f"{then.symbol} is no longer listed"
    if today.status != "TRADING":
        return f"{then.symbol} stopped trading during the night: status {today.status}"
    if _identity(then) != _identity(today):
        return f"{then.symbol} is another listing now: the ticker was given away during the night"
    return None


def _identity(instrument: Instrument) -> tuple[str, str, str | None, int | None]:
    return instrument.base, instrument.quote, instrument.contract_type, instrument.listed_ms
