"""Who may look: twelve configurations, Host headers, tokens (GUARANTEES R19)."""

import base64

import pytest
import trustme
from pydantic import SecretStr

from huracan.adapters.dashboard import checked_access
from huracan.errors import ConfigError

TOKEN = SecretStr("a-token-of-some-length")


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    issued = trustme.CA().issue_cert("127.0.0.1", "huracan.internal")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(folder / "cert.pem", append=True)
    return {"tls_cert": folder / "cert.pem", "tls_key": folder / "key.pem"}


@pytest.mark.guarantee("R19")
@pytest.mark.parametrize(
    ("host", "token", "secured", "names", "allowed"),
    [
        ("127.0.0.1", None, False, (), True),
        ("localhost", None, False, (), True),
        ("::1", None, False, (), True),
        ("127.0.0.1", TOKEN, True, (), True),
        ("0.0.0.0", None, False, (), False),
        ("0.0.0.0", TOKEN, False, ("huracan.internal",), False),
        ("0.0.0.0", None, True, ("huracan.internal",), False),
        ("0.0.0.0", TOKEN, True, (), False),
        ("0.0.0.0", TOKEN, True, ("huracan.internal",), True),
        ("", TOKEN, True, (), False),
        ("192.0.2.7", None, False, (), False),
        ("192.0.2.7", TOKEN, True, (), True),
        ("db.internal", TOKEN, False, (), False),
    ],
)
def test_beyond_loopback_only_with_a_token_tls_and_names(host, token, secured, names, allowed, tls):
    def access():
        return checked_access(host=host, port=8787, token=token, allowed_hosts=names, **(tls if secured else {}))

    if allowed:
        assert access().host == host
    else:
        with pytest.raises(ConfigError, match="open to the network"):
            access()


def test_what_is_missing_is_named():
    with pytest.raises(ConfigError) as refused:
        checked_access(host="0.0.0.0", port=1)
    for word in ("dashboard.tls_cert", "HURACAN_DASHBOARD_TOKEN", "dashboard.allowed_hosts", "ssh -L"):
        assert word in str(refused.value)


def test_half_a_pair_of_tls_files_unreadable_ones_and_short_tokens_are_refused(tls, tmp_path):
    with pytest.raises(ConfigError, match="both or none"):
        checked_access(host="127.0.0.1", port=1, tls_cert=tls["tls_cert"])
    with pytest.raises(ConfigError, match="cannot be used"):
        checked_access(host="127.0.0.1", port=1, tls_cert=tmp_path / "none.pem", tls_key=tls["tls_key"])
    with pytest.raises(ConfigError, match="shorter"):
        checked_access(host="127.0.0.1", port=1, token=SecretStr("short"))


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        ("127.0.0.1:8787", True),
        ("LOCALHOST:1", True),
        ("localhost.", True),
        ("[::1]:8787", True),
        ("evil.example", False),
        ("evil.example:8787", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        (None, False),
    ],
)
def test_a_host_header_of_another_name_is_not_admitted(header, admitted):
    assert checked_access(host="127.0.0.1", port=8787).admits_host(header) is admitted


def test_names_given_by_the_owner_are_admitted(tls):
    access = checked_access(host="0.0.0.0", port=1, token=TOKEN, allowed_hosts=("Huracan.Internal",), **tls)
    assert access.admits_host("huracan.internal:443")
    assert not access.admits_host("127.0.0.1")


def test_the_token_comes_as_bearer_or_as_a_password():
    access = checked_access(host="127.0.0.1", port=1, token=TOKEN)
    basic = base64.b64encode(b"anybody:" + TOKEN.get_secret_value().encode()).decode()
    assert access.admits_token(f"Bearer {TOKEN.get_secret_value()}")
    assert access.admits_token(f"basic {basic}")
    for wrong in (None, "", "Bearer other", "Basic ###", f"Digest {basic}", "Basic " + base64.b64encode(b"x").decode()):
        assert not access.admits_token(wrong)
    assert checked_access(host="127.0.0.1", port=1).admits_token(None)
    assert TOKEN.get_secret_value() not in repr(access)
