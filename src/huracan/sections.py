"""Sections of the settings that have rules of their own, and the model every section is."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from huracan.domain.addresses import is_loopback


class Section(BaseModel):
    """One concern; frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class MetricsSettings(Section):
    """Ways out for Prometheus metrics; none is open by default, and no failure of theirs fails a night."""

    port: int | None = Field(None, ge=1, le=65535, description="scrape endpoint while a night runs; None: none")
    bind: str = Field("127.0.0.1", description="address of the endpoint; beyond loopback only with TLS")
    tls_certificate: Path | None = Field(None, description="PEM chain of the scrape endpoint")
    tls_key: Path | None = Field(None, description="its private key, PEM")
    textfile: Path | None = Field(None, description="*.prom file for node_exporter, replaced every few seconds")
    pushgateway_url: str | None = Field(None, description="pushed to once, when a night ends")
    push_timeout_s: float = Field(10.0, gt=0, le=300)

    @field_validator("textfile")
    @classmethod
    def _textfile_is_collected(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix != ".prom":
            raise ValueError("node_exporter reads files whose names end with .prom only")
        return value

    @field_validator("pushgateway_url")
    @classmethod
    def _gateway_is_a_url(cls, value: str | None) -> str | None:
        return _plain_url(value)

    @model_validator(mode="after")
    def _nobody_else_can_read(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are given together or not at all")
        if not is_loopback(self.bind) and self.tls_certificate is None:
            raise ValueError(
                f"bind {self.bind!r} is reachable from other machines: give tls_certificate and tls_key, "
                "or keep 127.0.0.1 and let the scraper, a sidecar or a tunnel come to it"
            )
        return self


class TelemetrySettings(Section):
    """Where spans of the run, its steps and jobs go; needs the extra ``otel``."""

    otlp_endpoint: str | None = Field(
        None, description="base URL of an OTLP/HTTP receiver, such as http://localhost:4318"
    )
    timeout_s: float = Field(5.0, gt=0, le=60)

    @field_validator("otlp_endpoint")
    @classmethod
    def _endpoint_is_a_url(cls, value: str | None) -> str | None:
        return _plain_url(value)


def _plain_url(value: str | None) -> str | None:
    """An http(s) URL without credentials in it, since it will be shown."""
    if value is None:
        return None
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("wanted an http:// or https:// URL")
    if url.username or url.password or url.query or url.fragment:
        raise ValueError("credentials and parameters do not belong into this URL")
    return value.rstrip("/")
