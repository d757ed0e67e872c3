"""No secret leaves in a line: values of secret variables are replaced, raw or coded."""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

REDACTED: Final = "[redacted]"
SECRET_WORDS: Final = ("TOKEN", "SECRET", "PASSPHRASE", "PASSWORD", "APP_KEY", "API_KEY", "PRIVATE_KEY", "CREDENTIAL")
SHORTEST_SECRET: Final = 4  # replacing shorter ones would garble ordinary words


def secrets_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Values of variables whose names say they are secret."""
    return tuple(value for name, value in environ.items() if any(word in name.upper() for word in SECRET_WORDS))


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, nor their base64, URL, hex or escaped forms.

    >>> redact("token=hunter2 hex=68756e74657232", ["hunter2"])
    'token=[redacted] hex=[redacted]'
    """
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            for form in _forms(secret):
                text = text.replace(form, REDACTED)
    return text


def _forms(secret: str) -> list[str]:
    data = secret.encode()
    shown = {secret, repr(secret)[1:-1]}
    escaped = {json.dumps(text, ensure_ascii=ascii_)[1:-1] for text in shown for ascii_ in (True, False)}
    coded = {quote(secret, safe=""), data.hex(), data.hex().upper(), *_base64_forms(data)}
    return sorted(shown | escaped | coded, key=len, reverse=True)


def _base64_forms(data: bytes) -> list[str]:
    """What base64 of any text that contains the data must contain, for each of the three alignments."""
    forms: list[str] = []
    for before, dropped in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(bytes(before) + data).decode().rstrip("=")[dropped:]
        text = text if (before + len(data)) % 3 == 0 else text[:-1]
        forms += [text, text.replace("+", "-").replace("/", "_")]
    return [form for form in forms if len(form) >= SHORTEST_SECRET]
