"""Base and quote from a symbol alone."""

import pytest

from huracan.universe import archived_instruments, split_symbol


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("BTCTUSD", ("BTC", "TUSD")),
        ("1000000MOGUSDT", ("1000000MOG", "USDT")),
        ("币安人生USDT", ("币安人生", "USDT")),
        ("USTUSDT", ("UST", "USDT")),
        ("BNBETH", ("BNB", "ETH")),
        ("USDTBIDR", ("USDT", "BIDR")),
        ("EURIUSDT", ("EURI", "USDT")),
        ("USDCUSDT", ("USDC", "USDT")),
        ("USDT", None),
        ("BTCUSDT_260925", None),
        ("ABCXYZ", None),
    ],
)
def test_the_longest_known_quote_is_parted_off(symbol, parts):
    assert split_symbol(symbol) == parts


def test_symbols_are_left_out_by_name_with_a_reason():
    symbols = ["BTCUSDT", "BUSDUSDT", "ETHBTC", "WHAT", "BTCUSDT_260925", "LUNAUSDT"]
    found, left_out = archived_instruments(symbols, "um", ("USDT", "USDC"))
    assert [(one.id, one.base, one.contract_type) for one in found] == [
        ("BTCUSDT-um", "BTC", "PERPETUAL"),
        ("LUNAUSDT-um", "LUNA", "PERPETUAL"),
    ]
    assert left_out == {"PEGGED": 1, "QUOTE_ASSET": 2, "CONTRACT_TYPE": 1}
    assert archived_instruments(["ETHBTC"], "spot", ("BTC",))[0][0].contract_type is None
