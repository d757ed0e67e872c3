"""Where Hamilton writes what happened."""

import logging
from functools import cache
from typing import Any


class _Log:
    """A structlog logger that is made at the first event: it takes 50 ms to import, and most loads say nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_opened(), name)


@cache
def _opened() -> Any:
    import structlog

    return structlog.wrap_logger(
        logging.getLogger("huracan.hamilton"),
        processors=[structlog.stdlib.filter_by_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


log: Any = _Log()
"""Key-value lines through the standard library's logging, where the bot that embeds Hamilton decides what becomes of
them.
"""
