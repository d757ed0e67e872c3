"""Which addresses a backend may use: twelve configurations, and what a cluster of our own listens on."""

import pytest
from conformance import make_backend
from sockets import family, listeners

from huracan.adapters.backends.addresses import (
    TLS_FILES,
    checked_bind,
    checked_dask_address,
    checked_ray_address,
    host_and_port,
)
from huracan.domain.addresses import is_loopback
from huracan.errors import BackendError

TLS = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": "{file}" for name in TLS_FILES}
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t"}
TABLE = [
    ("dask", "tcp://127.0.0.1:8786", {}, None),
    ("dask", "localhost:8786", {}, None),
    ("dask", "tcp://[::1]:8786", {}, None),
    ("dask", "tcp://10.1.2.3:8786", {}, "without TLS"),
    ("dask", "scheduler.example:8786", TLS, "without TLS"),
    ("dask", "tls://10.1.2.3:8786", {}, "needs TLS files"),
    ("dask", "tls://10.1.2.3:8786", TLS, None),
    ("ray", "127.0.0.1:6379", {}, None),
    ("ray", "10.1.2.3:6379", {}, "without a token"),
    ("ray", "10.1.2.3:6379", {"RAY_AUTH_TOKEN": "t"}, "without a token"),
    ("ray", "10.1.2.3:6379", TOKEN, None),
    ("ray", "10.1.2.3:6379", {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "{file}"}, None),
]


@pytest.mark.guarantee("R19")
@pytest.mark.parametrize(("kind", "address", "environ", "refused"), TABLE)
def test_an_address_beyond_this_machine_needs_tls_or_a_token(kind, address, environ, refused, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    environ = {name: value.format(file=file) for name, value in environ.items()}
    check = checked_dask_address if kind == "dask" else checked_ray_address
    if refused is None:
        assert host_and_port(check(address, environ)) == host_and_port(address)
        return
    with pytest.raises(BackendError, match=refused) as refusal:
        check(address, environ)
    assert address in str(refusal.value)


def test_a_tls_file_that_is_not_there_is_named(tmp_path):
    environ = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(tmp_path / "nowhere") for name in TLS_FILES}
    with pytest.raises(BackendError, match=r"COMM__TLS__CA_FILE, .*CLIENT__CERT, .*CLIENT__KEY"):
        checked_dask_address("tls://10.1.2.3:8786", environ)


@pytest.mark.parametrize(
    "text", ["", "x", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", ":5", "h:70000", "u@h:5", "h/p:5", "h:5x"]
)
@pytest.mark.parametrize("check", [checked_dask_address, checked_ray_address])
def test_what_is_no_address_is_refused_with_an_example(check, text):
    with pytest.raises(BackendError, match="is not an address; wanted such as"):
        check(text, {**TOKEN})


def test_other_protocols_are_refused():
    with pytest.raises(BackendError, match="ucx:// is not supported"):
        checked_dask_address("ucx://127.0.0.1:8786", {})
    with pytest.raises(BackendError, match="Ray Client is not supported"):
        checked_ray_address("ray://127.0.0.1:10001", {})


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "10.0.0.1", "localhost.example", "127.0.0.1.example", "192.168.1.2"]
)
def test_only_loopback_may_be_listened_on_without_protection(host):
    assert not is_loopback(host)
    assert checked_bind(host, protected=True) == host
    with pytest.raises(BackendError, match="refusing to listen"):
        checked_bind(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_loopback_may_be_listened_on(host):
    assert checked_bind(host) == host


@pytest.mark.slow
@pytest.mark.guarantee("R19")
@pytest.mark.parametrize("kind", ["dask", "ray"])
async def test_a_cluster_of_our_own_listens_on_loopback_only(kind):
    backend = make_backend(kind, slots=1)
    await backend.start()
    try:
        found = listeners(family(backend.pid))
    finally:
        await backend.stop()
    assert len(found) >= 2
    assert {address for address, _, _ in found} == {"127.0.0.1"}
