"""Proxy variables of the environment: used where they can be, else CONFIG that names the variable and holds no password."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huracan.adapters.binance import proxies as module
from huracan.adapters.binance.budget import WeightBudget
from huracan.adapters.binance.http import Ask, HttpClient
from huracan.adapters.binance.proxies import proxy_variables
from huracan.errors import ConfigError, UpstreamError
from huracan.sections import BinanceSettings

NAMES = [name for kind in ("HTTP", "HTTPS", "ALL", "NO") for name in (f"{kind}_PROXY", f"{kind}_proxy".lower())]
OUTSIDE = "http://exchange.invalid"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def client():
    """Of an exchange that is not on this machine; nothing is sent to it."""
    urls = dict.fromkeys(("rest_url", "futures_url", "archive_url"), OUTSIDE)
    return HttpClient(BinanceSettings(**urls, total_timeout_s=5), WeightBudget())


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "HTTP_PROXY"])
def test_a_socks_proxy_without_its_package_names_the_variable_and_what_to_install(monkeypatch, name):
    monkeypatch.setenv(name, "socks5://user:hunter2@127.0.0.1:1080")
    with pytest.raises(ConfigError, match=rf"{name.upper()} .*socks5://127\.0\.0\.1.*pip install socksio") as caught:
        client()
    assert "hunter2" not in str(caught.value)


def test_a_socks_proxy_with_its_package_is_let_through(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setattr(module, "find_spec", lambda _name: object())
    assert proxy_variables() == {"all": "ALL_PROXY"}


@pytest.mark.parametrize(
    "value",
    [
        "ftp://user:hunter2@x",
        "socks4://127.0.0.1:1",
        "http://",
        "http://user:hunter2@[::1",
        "http://x:99999",
        "http://x:y",
        "http://x:0",
        "http://a b",
        "file:///etc",
        ":",
    ],
)
def test_nonsense_is_refused_by_the_name_of_its_variable(monkeypatch, value):
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(ConfigError, match=r"HTTPS_PROXY in the environment.*wanted http://host:port") as caught:
        client()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["[::1", "*,,http://x:y", "http://[::1", "a b", "::", "1.2.3.4/99"])
async def test_exceptions_that_say_nothing_are_passed_over(monkeypatch, value):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", value)
    await client().aclose()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), no=st.booleans())
def test_any_value_is_used_or_refused_and_never_a_surprise(value, no):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY" if no else "ALL_PROXY", value)
        with contextlib.suppress(ConfigError):
            client()


async def test_a_proxy_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with pytest.raises(UpstreamError, match="ALL_PROXY names a proxy"):
        await client().get(Ask(pool="archive", url=f"{OUTSIDE}/x"))


async def test_an_exchange_on_loopback_asks_no_proxy(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    urls = dict.fromkeys(("rest_url", "futures_url", "archive_url"), "http://127.0.0.1:9")
    await HttpClient(BinanceSettings(**urls), WeightBudget()).aclose()
