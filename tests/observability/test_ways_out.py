"""Scrape endpoint, textfile and Pushgateway: open where asked, closed to others, harmless when they fail."""

import http.server
import os
import re
import socket
import ssl
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import ClassVar

import pytest
import trustme
from listening import NODE_EXPORTER, PUSHGATEWAY, fetched, free_port, node_exporter, served
from listening import pushgateway as gateway
from prometheus_client.parser import text_string_to_metric_families

from huracan.adapters.telemetry import RecordingTelemetry
from huracan.adapters.telemetry.metrics import MetricsTelemetry
from huracan.adapters.telemetry.ways_out import ScrapeEndpoint, pushgateway, textfile
from huracan.app.observing import Observers
from huracan.errors import ConfigError
from huracan.settings import load_settings


def observers(folder, log, **ways):
    settings = load_settings(None, [f"{name.replace('__', '.')}={value}" for name, value in ways.items()], {})
    return Observers(settings, folder, log)


@pytest.fixture
def collector(tmp_path):
    return MetricsTelemetry(tmp_path).collector


@pytest.mark.parametrize(
    ("overrides", "allowed"),
    [
        (["metrics.bind=127.0.0.1"], True),
        (["metrics.bind=127.8.9.10"], True),
        (["metrics.bind=::1"], True),
        (["metrics.bind=localhost"], True),
        (["metrics.bind=0.0.0.0"], False),
        (["metrics.bind=::"], False),
        (["metrics.bind=192.168.0.7"], False),
        (["metrics.bind=metrics.example"], False),
        (["metrics.bind="], False),
        (["metrics.bind=0.0.0.0", "metrics.tls_certificate=c.pem"], False),
        (["metrics.bind=0.0.0.0", "metrics.tls_key=k.pem"], False),
        (["metrics.bind=0.0.0.0", "metrics.tls_certificate=c.pem", "metrics.tls_key=k.pem"], True),
    ],
)
def test_the_endpoint_is_never_open_to_others_without_tls(overrides, allowed):
    if allowed:
        load_settings(None, overrides, {})
    else:
        with pytest.raises(ConfigError, match="tls_certificate and tls_key"):
            load_settings(None, overrides, {})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("metrics.port=0", "greater than or equal to 1"),
        ("metrics.port=65536", "less than or equal to 65535"),
        ("metrics.textfile=metrics.txt", "end with .prom"),
        ("metrics.push_timeout_s=0", "greater than 0"),
        ("metrics.pushgateway_url=gateway:9091", "http:// or https://"),
        ("metrics.pushgateway_url=http://x/?token=1", "do not belong"),
        ("telemetry.otlp_endpoint=http://", "http:// or https://"),
        ("telemetry.timeout_s=61", "less than or equal to 60"),
    ],
)
def test_a_way_out_of_range_is_refused_by_name(override, message):
    with pytest.raises(ConfigError, match=message):
        load_settings(None, [override], {})


@pytest.mark.parametrize("key", ["metrics.pushgateway_url", "telemetry.otlp_endpoint"])
def test_a_password_in_a_url_is_refused_and_not_repeated(key):
    with pytest.raises(ConfigError) as refused:
        load_settings(None, [f"{key}=https://user:hunter2@host/path"], {})
    assert "hunter2" not in str(refused.value)
    assert "credentials" in str(refused.value)


def test_the_endpoint_answers_until_it_is_closed(collector):
    endpoint = ScrapeEndpoint(collector, bind="127.0.0.1", port=free_port())
    try:
        names = {family.name for family in text_string_to_metric_families(fetched(endpoint.address))}
        assert "huracan_driver_resident_bytes" in names
    finally:
        endpoint.close()
    with pytest.raises(urllib.error.URLError):
        fetched(endpoint.address)


def test_the_endpoint_listens_on_its_address_alone(collector):
    endpoint = ScrapeEndpoint(collector, bind="127.0.0.1", port=free_port())
    try:
        port = int(endpoint.address.rpartition(":")[2].partition("/")[0])
        with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", port), timeout=2):
            pass
    finally:
        endpoint.close()


def test_the_endpoint_speaks_tls_with_a_certificate(collector, tmp_path):
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    for at, blob in enumerate(leaf.cert_chain_pems):
        blob.write_to_path(tmp_path / "cert.pem", append=at > 0)
    port = free_port()
    endpoint = ScrapeEndpoint(
        collector, bind="localhost", port=port, certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem"
    )
    try:
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        with urllib.request.urlopen(f"https://localhost:{port}/metrics", context=trusting, timeout=10) as answer:
            assert b"huracan_" in answer.read()
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"https://localhost:{port}/metrics", timeout=10)
        with socket.create_connection(("localhost", port)):  # says nothing: neither others nor the end wait for it
            with urllib.request.urlopen(f"https://localhost:{port}/metrics", context=trusting, timeout=10) as answer:
                assert answer.status == 200
            endpoint.close()
            endpoint = None
    finally:
        if endpoint is not None:
            endpoint.close()


def test_a_taken_port_is_told_and_the_night_goes_on_without_it(tmp_path):
    heard = RecordingTelemetry()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with observers(tmp_path, heard, metrics__port=port) as watching:
            watching.telemetry.event("run_finished", champions=0)
    ((_, failure), finished) = heard.events
    assert failure["listener"] == "scrape"
    assert f"port {port}" in failure["error"]
    assert finished == ("run_finished", {"champions": 0})


def test_an_unreadable_certificate_is_told_too(tmp_path):
    heard = RecordingTelemetry()
    ways = {"metrics__tls_certificate": tmp_path / "no.pem", "metrics__tls_key": tmp_path / "no.key"}
    observers(tmp_path, heard, metrics__port=free_port(), **ways).close()
    assert heard.named("telemetry_failed")[0]["listener"] == "scrape"


def test_an_open_endpoint_is_told_and_closed_with_the_night(tmp_path):
    heard = RecordingTelemetry()
    with observers(tmp_path, heard, metrics__port=free_port()):
        address = heard.named("metrics_served")[0]["address"]
        assert "huracan_run_active" not in fetched(address)
    with pytest.raises(urllib.error.URLError):
        fetched(address)


def test_without_any_way_out_nothing_is_counted(tmp_path):
    heard = RecordingTelemetry()
    with observers(tmp_path, heard) as watching:
        watching.telemetry.event("run_finished", champions=0)
    assert heard.events == [("run_finished", {"champions": 0})]


def test_a_crash_is_told_before_the_ways_out_close(tmp_path):
    file = tmp_path / "out" / "huracan.prom"
    heard = RecordingTelemetry()

    def crash():
        with observers(tmp_path, heard, metrics__textfile=file) as watching:
            watching.telemetry.event("workdir_opened", folder="w", last_success_ms=None)
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        crash()
    assert heard.named("run_crashed") == [{"error": "KeyError: 'a bug'"}]
    assert 'huracan_runs_refused_total{code="CRASHED"} 1.0' in file.read_text()


def test_the_textfile_is_replaced_whole_at_every_step(tmp_path):
    metrics = MetricsTelemetry(tmp_path)
    file = tmp_path / "node" / "huracan.prom"
    writer = textfile(metrics.collector, file)
    inodes = []
    for name, facts in (
        ("workdir_opened", {"folder": "w", "last_success_ms": 5000}),
        ("stage_started", {"step": "universe", "number": 1}),
        ("stage_finished", {"step": "universe", "number": 1, "seconds": 1.0}),
        ("run_finished", {"champions": 0}),
    ):
        metrics.event(name, **facts)
        writer.event(name, **facts)
        writer.progress("train", 1, 2)
        inodes.append(file.stat().st_ino)
        assert file.read_text().endswith("\n")
        assert [path.name for path in file.parent.iterdir()] == ["huracan.prom"]
    assert inodes[0] == inodes[1]
    assert "huracan_run_active 0.0" in file.read_text()


@pytest.mark.parametrize(("every_s", "fresh"), [(0.0, True), (3600.0, False)])
def test_the_textfile_is_rewritten_between_steps_when_it_has_got_old(tmp_path, every_s, fresh):
    metrics, file = MetricsTelemetry(tmp_path), tmp_path / "huracan.prom"
    writer = textfile(metrics.collector, file, every_s=every_s)
    writer.event("workdir_opened")
    for listener in (metrics, writer):
        listener.event("job_started", coin="BTC", wave="train", attempt=1)
    assert ("huracan_jobs_running 1.0" in file.read_text()) == fresh


def test_a_run_that_was_locked_out_leaves_the_others_account_alone(tmp_path):
    file = tmp_path / "huracan.prom"
    file.write_text("the other run's\n")
    metrics = MetricsTelemetry(tmp_path)
    writer = textfile(metrics.collector, file)
    for name, facts in (("stage_failed", {}), ("run_refused", {"code": "LOCKED"})):
        writer.event(name, **facts)
    assert file.read_text() == "the other run's\n"


def test_a_textfile_that_cannot_be_written_is_told_once_and_hurts_nobody(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    heard = RecordingTelemetry()
    with observers(tmp_path, heard, metrics__textfile=tmp_path / "file" / "huracan.prom") as watching:
        watching.telemetry.event("workdir_opened", folder="w", last_success_ms=None)
        watching.telemetry.event("stage_finished", step="universe", number=1, seconds=1.0)
    assert [fields["listener"] for fields in heard.named("telemetry_failed")] == ["textfile"]
    assert [name for name, _ in heard.events if name != "telemetry_failed"] == ["workdir_opened", "stage_finished"]


class Gateway(http.server.BaseHTTPRequestHandler):
    status = 200
    got: ClassVar[list] = []

    def do_PUT(self):
        self.got.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_the_pushgateway_gets_everything_once_at_the_end(collector):
    Gateway.got.clear()
    Gateway.status = 200
    with served(Gateway) as port:
        push = pushgateway(collector, f"http://127.0.0.1:{port}", 5.0, "host-1")
        push.event("run_refused", code="LOCKED")
        push.event("workdir_opened")
        push.event("stage_finished")
        assert Gateway.got == []
        push.event("run_finished")
    ((path, text),) = Gateway.got
    assert path == "/metrics/job/huracan/instance/host-1"
    assert "huracan_driver_resident_bytes" in text


@pytest.fixture
def closed_umask():
    """That of the shipped unit."""
    unit = (Path(__file__).parents[2] / "deploy" / "systemd" / "huracan-night.service").read_text()
    before = os.umask(int(re.search(r"^UMask=(\d+)$", unit, re.MULTILINE)[1], 8))
    yield
    os.umask(before)


def test_the_textfile_may_be_read_by_others_whatever_the_umask(tmp_path, collector, closed_umask):
    file = tmp_path / "new" / "folder" / "huracan.prom"
    writer = textfile(collector, file)
    writer.event("workdir_opened")
    assert [oct(place.stat().st_mode & 0o777) for place in (file, file.parent, file.parent.parent)] == [
        "0o644",
        "0o755",
        "0o755",
    ]
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.slow
@pytest.mark.skipif(
    NODE_EXPORTER is None or os.geteuid() != 0, reason="needs node_exporter, and root to be another user"
)
def test_node_exporter_reads_the_textfile_of_the_shipped_unit_as_a_user_of_its_own(collector, closed_umask):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        writer = textfile(collector, folder / "metrics" / "huracan.prom")
        writer.event("workdir_opened")
        writer.event("run_finished")
        with node_exporter(folder, folder / "metrics", user="nobody") as port:
            told = fetched(f"http://127.0.0.1:{port}/metrics")
    assert "huracan_driver_resident_bytes" in told
    assert "node_textfile_scrape_error 0" in told


@pytest.mark.slow
@pytest.mark.skipif(PUSHGATEWAY is None, reason="needs prometheus-pushgateway")
def test_the_nights_of_two_hosts_stand_side_by_side_at_one_pushgateway(tmp_path):
    with gateway(tmp_path) as port:
        for host, end in (("one", "run_refused"), ("two", "run_finished")):
            metrics = MetricsTelemetry(tmp_path)
            with observers(
                tmp_path,
                metrics,
                metrics__pushgateway_url=f"http://127.0.0.1:{port}",
                metrics__instance=host,
            ) as watching:
                watching.telemetry.event("workdir_opened", folder="w", last_success_ms=1)
                watching.telemetry.event("run_started", run_id="r", horizons=("1h",), dry_run=False)
                watching.telemetry.event(
                    end, **({"code": "STALE", "error": "x"} if end == "run_refused" else {"champions": 0})
                )
        text = fetched(f"http://127.0.0.1:{port}/metrics")
    samples = {
        (sample.labels["instance"], sample.labels.get("code", ""))
        for family in text_string_to_metric_families(text)
        if family.name in {"huracan_runs_refused", "huracan_run_active"}
        for sample in family.samples
    }
    assert samples == {("one", ""), ("two", ""), ("one", "STALE")}


@pytest.mark.parametrize("how", ["refused", "error"])
def test_a_pushgateway_that_fails_never_fails_the_night(tmp_path, how):
    heard = RecordingTelemetry()
    Gateway.status = 500
    with served(Gateway) as port:
        target = port if how == "error" else free_port()
        with observers(tmp_path, heard, metrics__pushgateway_url=f"http://127.0.0.1:{target}") as watching:
            watching.telemetry.event("workdir_opened", folder="w", last_success_ms=None)
            watching.telemetry.event("run_finished", champions=0)
    assert [fields["listener"] for fields in heard.named("telemetry_failed")] == ["pushgateway"]
    assert len(heard.events) == 3


def test_a_textfile_can_be_read_by_the_exporters_user(tmp_path):
    file = tmp_path / "huracan.prom"
    before = os.umask(0o022)
    try:
        textfile(MetricsTelemetry(tmp_path).collector, file).event("workdir_opened")
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o644
