"""Where Hamilton writes what happened."""

import logging
from typing import Any

import structlog

log: Any = structlog.wrap_logger(
    logging.getLogger("huracan.hamilton"),
    processors=[structlog.stdlib.filter_by_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
    wrapper_class=structlog.stdlib.BoundLogger,
)
"""Key-value lines through the standard library's logging, where the bot that embeds Hamilton decides what becomes of
them.
"""
