"""The listeners of a run: its log, and the metrics and traces that the settings ask for."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from huracan import __version__
from huracan.adapters.telemetry import FanOut
from huracan.night.stages import is_interruption
from huracan.ports import Telemetry
from huracan.sections import MetricsSettings
from huracan.settings import Settings


class Observers:
    """All listeners of one run, opened before its first step and closed after its last.

    `telemetry` sends to all of them. Raises ConfigError for a missing extra. Any other fault of a listener is an event
    and never ends the night.
    """

    def __init__(self, settings: Settings, workdir: Path, log: Telemetry) -> None:
        self._stack = ExitStack()
        listeners: dict[str, Telemetry] = {"log": log}
        failed: list[tuple[str, str]] = []
        served = ""
        if _wants_metrics(settings.metrics):
            from huracan.adapters.telemetry.metrics import MetricsTelemetry

            metrics = MetricsTelemetry(workdir)
            listeners["metrics"] = metrics
            listeners |= _files_and_pushes(settings.metrics, metrics.collector)
            served, problem = self._serve(settings.metrics, metrics.collector)
            failed += [("scrape", problem)] if problem else []
        if settings.telemetry.otlp_endpoint is not None:
            from huracan.adapters.telemetry.trace import TraceTelemetry

            self._traces: TraceTelemetry | None = TraceTelemetry(
                settings.telemetry.otlp_endpoint, timeout_s=settings.telemetry.timeout_s, version=__version__
            )
            listeners["traces"] = self._traces
        else:
            self._traces = None
        self.telemetry = FanOut(listeners)
        if served:
            self.telemetry.event("metrics_served", address=served)
        for listener, error in failed:
            self.telemetry.event("telemetry_failed", listener=listener, error=error)

    def _serve(self, metrics: MetricsSettings, collector: Any) -> tuple[str, str]:
        """The address metrics are served at, or why they are not; both empty when none were asked for."""
        from huracan.adapters.telemetry.ways_out import ScrapeEndpoint

        if metrics.port is None:
            return "", ""
        try:
            endpoint = ScrapeEndpoint(
                collector,
                bind=metrics.bind,
                port=metrics.port,
                certificate=metrics.tls_certificate,
                key=metrics.tls_key,
            )
        except OSError as error:
            return "", f"metrics cannot be served on {metrics.bind} port {metrics.port}: {error}"
        self._stack.callback(endpoint.close)
        return endpoint.address, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and is_interruption(error):
            self.telemetry.event("run_interrupted", advice="start again to go on")
        elif error is not None:
            self.telemetry.event("run_crashed", error=f"{type(error).__name__}: {error}")
        self.close()

    def close(self) -> None:
        """Send what is left, then stop listening."""
        lost = self._traces.close() if self._traces is not None else 0
        if lost:
            self.telemetry.event("traces_lost", spans=lost)
        self._stack.close()


def _wants_metrics(metrics: MetricsSettings) -> bool:
    return any(way is not None for way in (metrics.port, metrics.textfile, metrics.pushgateway_url))


def _files_and_pushes(metrics: MetricsSettings, collector: Any) -> dict[str, Telemetry]:
    from huracan.adapters.telemetry.ways_out import pushgateway, textfile

    listeners: dict[str, Telemetry] = {}
    if metrics.textfile is not None:
        listeners["textfile"] = textfile(collector, metrics.textfile)
    if metrics.pushgateway_url is not None:
        listeners["pushgateway"] = pushgateway(
            collector, metrics.pushgateway_url, metrics.push_timeout_s, metrics.instance
        )
    return listeners
