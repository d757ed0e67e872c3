"""Which instrument carries the bare coin key."""

import pytest

from huracan.domain.ids import Instrument
from huracan.universe import coin_keys


def instrument(market, base, quote="USDT", **more):
    if market == "um":
        more = {"contract_type": "PERPETUAL", **more}
    return Instrument(market=market, symbol=f"{base}{quote}", base=base, quote=quote, **more)


def keys(*pairs, market="auto", volumes=None):
    return coin_keys(pairs, market, volumes or {})


def test_auto_prefers_the_perpetual_where_one_trades():
    assert keys(instrument("spot", "SOL"), instrument("um", "SOL")) == {
        "SOLUSDT-spot": "SOLUSDT-spot",
        "SOLUSDT-um": "SOL",
    }


def test_spot_policy_prefers_spot():
    found = keys(instrument("spot", "SOL"), instrument("um", "SOL"), market="spot")
    assert found == {"SOLUSDT-spot": "SOL", "SOLUSDT-um": "SOLUSDT-um"}


def test_a_perpetual_that_does_not_trade_gives_the_name_to_spot():
    found = keys(instrument("spot", "SOL"), instrument("um", "SOL", status="SETTLING"))
    assert found["SOLUSDT-spot"] == "SOL"


def test_the_quote_order_decides_before_volume():
    pairs = [instrument("um", "SOL", quote) for quote in ("FDUSD", "USDC", "USDT")]
    found = keys(*pairs, volumes={"SOLFDUSD-um": 9e9, "SOLUSDC-um": 8e9, "SOLUSDT-um": 1.0})
    assert found["SOLUSDT-um"] == "SOL"
    assert keys(*pairs[:2], volumes={"SOLFDUSD-um": 9e9})["SOLUSDC-um"] == "SOL"


def test_volume_decides_between_other_quotes():
    pairs = [instrument("spot", "SOL", quote) for quote in ("TRY", "EUR")]
    assert keys(*pairs, volumes={"SOLEUR-spot": 2.0, "SOLTRY-spot": 1.0})["SOLEUR-spot"] == "SOL"


@pytest.mark.parametrize("factor", ["1000", "1000000"])
def test_a_contract_on_many_units_takes_the_name_of_the_coin_it_multiplies(factor):
    found = keys(instrument("spot", "SHIB"), instrument("um", f"{factor}SHIB"))
    assert found == {"SHIBUSDT-spot": "SHIBUSDT-spot", f"{factor}SHIBUSDT-um": "SHIB"}


def test_a_contract_on_many_units_of_an_unlisted_coin_keeps_its_name():
    assert keys(instrument("um", "1000SATS"))["1000SATSUSDT-um"] == "1000SATS"


def test_an_equity_of_the_same_letters_is_not_the_coin_that_is_multiplied():
    cat = instrument("um", "CAT", contract_type="TRADIFI_PERPETUAL")
    found = keys(instrument("um", "1000CAT"), cat)
    assert found == {"1000CATUSDT-um": "1000CAT", "CATUSDT-um": "CAT"}


def test_digits_that_belong_to_a_name_are_no_multiple():
    assert keys(instrument("um", "1INCH"), instrument("spot", "INCH"))["1INCHUSDT-um"] == "1INCH"


def test_non_ascii_names_are_names():
    assert keys(instrument("um", "币安人生"))["币安人生USDT-um"] == "币安人生"
