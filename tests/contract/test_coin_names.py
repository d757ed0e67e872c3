"""The ways people write a coin, and what is said of one that is not known."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.domain.coin_names import CoinNames, did_you_mean, split_key

NAMES = CoinNames(
    {
        "BTC": "BTCUSDT-um",
        "BTCUSDT-spot": "BTCUSDT-spot",
        "BTCUSDC-um": "BTCUSDC-um",
        "SHIB": "1000SHIBUSDT-um",
        "SOLUSDT-spot": "SOLUSDT-spot",
        "LUNA": "LUNAUSDT-spot~20220513",
        "币安人生": "币安人生USDT-um",
    },
    ["XRP", "ALFA"],
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("BTC", "BTC"),
        (" btc ", "BTC"),
        ("BTCUSDT", "BTC"),
        ("btcusdt", "BTC"),
        ("BTC/USDT", "BTC"),
        ("BTC/USDT:USDT", "BTC"),
        ("btc/usdt:usdt", "BTC"),
        ("BTCUSDT-um", "BTC"),
        ("btcusdt-UM", "BTC"),
        ("BTC/USDC", "BTCUSDC-um"),
        ("btcusdc-um", "BTCUSDC-um"),
        ("BTCUSDT-spot", "BTCUSDT-spot"),
        ("BTC-um", "BTC"),
        ("btc-Spot", "BTCUSDT-spot"),
        ("SHIB-um", "SHIB"),
        ("SHIBUSDT-spot", "SHIBUSDT-spot"),
        ("SHIB-spot", "SHIB-spot"),
        ("XRP-spot", "XRP"),
        ("1000XRPUSDT-um", "XRP"),
        ("BTC-swap", "BTC-swap"),
        ("SHIB", "SHIB"),
        ("1000shibusdt", "SHIB"),
        ("1000SHIBUSDT-um", "SHIB"),
        ("SOLUSDT", "SOLUSDT-spot"),
        ("LUNAUSDT-spot", "LUNA"),
        ("币安人生usdt", "币安人生"),
        ("xrp", "XRP"),
        ("XRPUSDT-um", "XRP"),
        ("xrp/usdt", "XRP"),
        ("alfa", "ALFA"),
        ("XRPFDUSD", "XRP"),
        ("DOGE/USDT", "DOGE"),
        ("DOGE", "DOGE"),
        ("DOGEUSDT-um", "DOGEUSDT-um"),
        ("BTC/EUR", "BTC/EUR"),
        ("USDT", "USDT"),
        ("/USDT", "/USDT"),
        ("", ""),
    ],
)
def test_a_coin_is_found_by_every_name_that_is_printed_of_it(text, wanted):
    assert NAMES.resolve(text) == wanted


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_resolves_to_a_coin_or_to_a_text_that_resolves_to_itself(text):
    once = NAMES.resolve(text)
    assert once in NAMES.coins or NAMES.resolve(once) in {once, *NAMES.coins}
    assert len(NAMES.nearest(text)) <= 3


@settings(deadline=None)
@given(st.sampled_from(sorted(NAMES.coins)), st.data())
def test_letter_case_never_matters(coin, data):
    swapped = "".join(data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in coin)
    assert NAMES.resolve(swapped) == coin


def test_an_unknown_name_gets_the_nearest_three_or_the_number_of_coins():
    assert did_you_mean("SHIBA", NAMES) == "did you mean SHIB?"
    assert did_you_mean("btc-um", NAMES).startswith("did you mean BTC")
    assert did_you_mean("nothing-like-it", CoinNames({"BTC": "BTCUSDT-um"})) == "known are BTC"
    many = CoinNames({f"COIN{number}": f"COIN{number}USDT-um" for number in range(26)})
    told = did_you_mean("§", many)
    assert told == "known are COIN0, COIN1, COIN10, COIN11, COIN12 and 21 more"
    assert did_you_mean("BTC", CoinNames({})) == "known are no coins"
    many = CoinNames({f"COIN{n}": f"COIN{n}USDT-um" for n in range(9)})
    assert len(many.nearest("COIN")) == 3


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("BTC_1h", ("BTC", "1h")),
        ("BTCUSDT-spot_1D", ("BTCUSDT-spot", "1d")),
        ("BTC", ("BTC", None)),
        ("A_B_15m", ("A_B", "15m")),
        ("BTC_0h", ("BTC_0h", None)),
        ("_1h", ("_1h", None)),
        ("", ("", None)),
    ],
)
def test_a_key_of_results_is_a_coin_and_a_horizon(text, wanted):
    assert split_key(text) == wanted
