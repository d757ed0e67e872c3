"""OpenTelemetry spans of a night: the run, its nine steps, the waves and their jobs, made from its events."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from huracan.errors import ConfigError
from huracan.ports import EventFields, EventValue

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span

ATTRIBUTES: Final = (
    "run_id", "coin", "horizon", "engine", "regime", "step", "number", "wave", "jobs", "slots", "attempt", "cached", "code", "seconds",
    "peak_memory_bytes", "champions", "dry_run",
)  # fmt: skip
"""Fields that become attributes. Texts of errors do not: they may quote anything, their codes say enough."""

Attributes: TypeAlias = Mapping[str, str | bool | int | float]
"""What a span says of itself."""

ROOT: Final = "run"
PATH: Final = "/v1/traces"


class TraceTelemetry:
    """Sends spans to an OTLP/HTTP receiver, in batches from a thread of its own.

    The run's span begins now and ends at `close`. Raises ConfigError, naming the extra, where OpenTelemetry is missing.
    """

    def __init__(self, endpoint: str, *, timeout_s: float, version: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ConfigError(
                "telemetry.otlp_endpoint is set and OpenTelemetry is not installed: "
                f"pip install 'huracan-engine[otel]', or unset it ({error})"
            ) from error
        self._exporter = _counting(OTLPSpanExporter(endpoint=f"{endpoint}{PATH}", timeout=timeout_s))
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "huracan", "service.version": version}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("huracan")
        self._flush_ms = int(2 * timeout_s * 1000)
        self._open: dict[tuple[str, ...], Span] = {}
        self._begin((ROOT,), ROOT, None, {})

    def event(self, name: str, **fields: EventValue) -> None:
        """Begin or end the span that the event is about; an event of the run becomes an attribute of its span."""
        given = _attributes(fields)
        coin, wave, step = (str(fields.get(key, "")) for key in ("coin", "wave", "step"))
        match name:
            case "run_started" | "backend_started" | "run_finished":
                self._open[ROOT,].set_attributes(given)
            case "run_refused" | "run_crashed" | "run_interrupted":
                self._open[ROOT,].set_attributes(given)
                self._fail(self._open[ROOT,], str(fields.get("code", name)))
            case "stage_started":
                self._begin(("step", step), f"step {fields['number']} {step}", (ROOT,), given)
            case "stage_finished" | "stage_failed":
                self._end(("step", step), given, failed=name == "stage_failed")
            case "wave_started":
                parent = next((key for key in self._open if key[0] == "step"), (ROOT,))
                self._begin(("wave", wave), f"wave {wave}", parent, given)
            case "wave_finished":
                self._end(("wave", wave), given, failed=False)
            case "job_started":
                self._begin(("job", wave, coin), f"job {wave}", ("wave", wave), given)
            case "job_finished" | "job_refused":
                self._end(("job", wave, coin), given, failed=False)
            case "job_retried" | "job_failed" | "job_cancelled":
                self._end(("job", wave, coin), given, failed=True)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Nothing: waves and jobs are events too."""

    def close(self) -> int:
        """End whatever is open, send what is left and return how many spans never arrived."""
        for key in reversed(list(self._open)):
            self._end(key, {}, failed=False)
        self._provider.force_flush(self._flush_ms)
        self._provider.shutdown()
        return int(self._exporter.lost)

    def _begin(self, key: tuple[str, ...], name: str, parent: tuple[str, ...] | None, given: Attributes) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import set_span_in_context

        above = self._open.get(parent) if parent is not None else None
        context = Context() if above is None else set_span_in_context(above, Context())
        self._open[key] = self._tracer.start_span(name, context=context, attributes=given)

    def _end(self, key: tuple[str, ...], given: Attributes, *, failed: bool) -> None:
        span = self._open.pop(key, None)
        if span is None:  # a job that was cancelled before it began
            return
        span.set_attributes(given)
        if failed:
            self._fail(span, str(given.get("code", "")))
        span.end()

    @staticmethod
    def _fail(span: "Span", code: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR, code))


def _attributes(fields: EventFields) -> Attributes:
    given = ((key, fields.get(key)) for key in ATTRIBUTES)
    return {key: value for key, value in given if isinstance(value, str | bool | int | float)}


def _counting(exporter: Any) -> Any:
    """The exporter, counting the spans of batches that did not arrive (the SDK drops them without a word to us)."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Counting(SpanExporter):
        lost = 0

        def export(self, spans: "Sequence[ReadableSpan]") -> SpanExportResult:
            result: SpanExportResult = exporter.export(spans)
            self.lost += len(spans) if result is not SpanExportResult.SUCCESS else 0
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    return Counting()
