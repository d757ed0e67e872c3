"""The page over a real socket: what it answers, to whom, and what its pages may load."""

import socket
from contextlib import ExitStack, suppress

import httpx2
import pytest
from dashboards import HOSTILE, NON_ASCII, served
from pydantic import SecretStr

from huracan.adapters.dashboard import WorkdirReader, checked_access, patience
from huracan.adapters.dashboard.server import MOST_CONNECTIONS
from huracan.reports.live import PARTS

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-some-length"


def test_the_page_shows_the_running_night_and_loads_nothing_from_elsewhere(page):
    answer = page.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for text in ("Nothing is proven yet", "14 of 21", NON_ASCII, "WORKER_LOST", ">84<", "9.4", "too little is traded"):
        assert text in answer.text.replace("</span>", "").replace("<span>", "")
    assert HOSTILE not in answer.text
    assert answer.text.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;") >= 3
    assert answer.text.count("<script") == 1
    assert "style=" not in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text


@pytest.mark.parametrize("name", PARTS)
def test_every_part_the_page_polls_is_the_part_of_the_page(page, name):
    whole, part = page.get("/").text, page.get(f"/parts/{name}")
    assert part.status_code == 200
    assert f'hx-get="/parts/{name}"' in whole
    if name != "tonight":  # its clock moves
        assert part.text.strip() in whole


def test_what_is_not_there_is_404(page):
    for path in (
        "/parts/other",
        "/static/other.js",
        "/static/..%2faccess.py",
        "/nights/run-9/",
        "/nights/..%2f..%2fx/",
        "/x",
    ):
        assert page.get(path).status_code == 404
        assert "default-src 'none'" in page.get(path).headers["content-security-policy"]


def test_scripts_and_styles_come_from_the_package(page):
    assert "htmx" in page.get("/static/htmx.min.js").text
    assert page.get("/static/live.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_is_for_looking_only(page, method):
    assert page.request(method, "/").status_code == 405
    assert page.request("HEAD", "/").status_code == 200


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n"]
)
def test_half_open_connections_are_closed_and_keep_nobody_out(workdir, monkeypatch, begun):
    monkeypatch.setattr(patience, "REQUEST_S", 2.0)
    with served(WorkdirReader(workdir)) as url, ExitStack() as stack:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        waiting = [stack.enter_context(socket.create_connection(address)) for _ in range(MOST_CONNECTIONS + 8)]
        for one in waiting:
            with suppress(ConnectionError):
                one.sendall(begun)
        for one in waiting:
            with suppress(ConnectionError):
                while one.recv(1 << 16):  # an answer may come before the end
                    pass
        with httpx2.Client(base_url=url, trust_env=False) as client:
            assert client.get("/").status_code == 200
            assert client.get("/static/live.css").status_code == 200


def test_another_host_name_gets_nothing(page):
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        answer = page.get("/", headers={"Host": host})
        assert answer.status_code in {400, 421}
        assert "Tonight" not in answer.text


def test_with_a_token_nothing_is_shown_without_it(workdir):
    access = checked_access(host="127.0.0.1", port=0, token=SecretStr(TOKEN))
    with served(WorkdirReader(workdir), access) as url, httpx2.Client(base_url=url, trust_env=False) as client:
        for path in ("/", "/parts/tonight", "/static/live.css", "/nights/run-1/"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Basic")
            assert "Tonight" not in refused.text
        assert client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/", auth=("anybody", TOKEN)).status_code == 200
        assert client.get("/", auth=("anybody", "wrong")).status_code == 401


def test_a_nights_page_is_served_in_a_sandbox(reader_of_night):
    reader, night = reader_of_night
    with served(reader) as url, httpx2.Client(base_url=url, trust_env=False) as client:
        assert f'href="/nights/{night.result["run_id"]}/"' in client.get("/").text
        answer = client.get(f"/nights/{night.result['run_id']}/")
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts;")
        assert client.get(f"/nights/{night.result['run_id']}/plotly.min.js").status_code == 200
