"""`huracan dashboard` and `huracan report` as a person starts them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys

import httpx2
import pytest

from huracan.cli import live

pytestmark = pytest.mark.slow


def start(*arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HURACAN_")} | variables
    command = [sys.executable, "-m", "huracan.cli.main", "dashboard", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_says_where_it_is_served_listens_on_loopback_only_and_ends_on_request(finished_night):
    process = start("--workdir", finished_night.folder / "workdir", "--port", 0)
    try:
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/", url)
        answer = httpx2.get(url, trust_env=False)
        assert finished_night.result["run_id"] in answer.text
        port = int(url.rsplit(":", 1)[1].strip("/"))
        others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET)} - {"127.0.0.1"}
        for address in others - {name for name in others if name.startswith("127.")}:
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((address, port), timeout=5)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert out == ""
    assert "Traceback" not in err


def test_a_folder_without_a_night_is_told_on_the_terminal(tmp_path):
    process = start("--workdir", tmp_path / "none", "--port", 0)
    try:
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        assert "holds no night yet" in process.stderr.readline()
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_json_is_one_object_with_the_url(tmp_path):
    process = start("--workdir", tmp_path, "--json", "--port", 0)
    try:
        lines = []
        while not lines or lines[-1] != "}\n":
            lines.append(process.stdout.readline())
        body = json.loads("".join(lines))
        assert httpx2.get(body["url"], trust_env=False).status_code == 200
        assert body["workdir"] == str(tmp_path)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_beyond_loopback_it_refuses_to_start_and_says_what_is_missing(huracan, tmp_path, own_trust):
    answer = huracan("dashboard", "--workdir", tmp_path, "--host", "0.0.0.0", "--json")
    assert answer.status == 2
    assert answer.json["code"] == "CONFIG"
    for word in ("tls_cert", "HURACAN_DASHBOARD_TOKEN", "allowed_hosts"):
        assert word in answer.json["error"]


def test_a_taken_port_is_named(huracan, tmp_path, own_trust):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = huracan("dashboard", "--workdir", tmp_path, "--port", taken.getsockname()[1])
    assert answer.status == 2
    assert "cannot be bound" in answer.err


def test_a_missing_extra_is_named(huracan, tmp_path, own_trust, monkeypatch):
    monkeypatch.setattr(live, "find_spec", lambda name: None if name == "uvicorn" else object())
    answer = huracan("dashboard", "--workdir", tmp_path)
    assert answer.status == 2
    assert "pip install 'huracan-engine[dashboard]'" in answer.err


def test_report_names_the_newest_page(huracan, finished_night, tmp_path, monkeypatch):
    workdir, run_id = finished_night.folder / "workdir", finished_night.result["run_id"]
    answer = huracan("report", "--workdir", workdir)
    assert (answer.status, answer.out.strip()) == (0, finished_night.result["report"])
    assert huracan("report", "--workdir", workdir, "--run-id", run_id, "--json").json["run_id"] == run_id
    assert huracan("report", "--workdir", workdir, "--run-id", "other").status == 2
    none = huracan("report", "--workdir", tmp_path)
    assert none.status == 2
    assert "run a night first" in none.err


def test_open_starts_the_browser_or_says_that_there_is_none(huracan, finished_night, monkeypatch):
    opened = []
    monkeypatch.setattr(live.webbrowser, "open", lambda url: bool(opened.append(url)) or True)
    workdir = finished_night.folder / "workdir"
    assert huracan("report", "--open", "--workdir", workdir).status == 0
    assert opened == [f"file://{finished_night.result['report']}"]
    monkeypatch.setattr(live.webbrowser, "open", lambda _url: False)
    answer = huracan("report", "--open", "--workdir", workdir)
    assert answer.status == 0  # the page is there and was named
    assert "by hand" in answer.err
