"""Where events of a run go: log lines, metrics, traces, a progress display, or a list in a test; names in `names`."""

from huracan.adapters.telemetry.fan_out import FanOut
from huracan.adapters.telemetry.log import RecordingTelemetry, SilentTelemetry, StructlogTelemetry
from huracan.adapters.telemetry.names import EVENTS, METRICS, Level
from huracan.adapters.telemetry.redact import redact, secrets_in

__all__ = [
    "EVENTS",
    "METRICS",
    "FanOut",
    "Level",
    "RecordingTelemetry",
    "SilentTelemetry",
    "StructlogTelemetry",
    "redact",
    "secrets_in",
]
