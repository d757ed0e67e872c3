"""Hamilton as the configuration describes it: which store it serves, and what its ranking is cut down to."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huracan.hamilton import HamiltonInterface
from huracan.settings import load_settings


def configured_hamilton(file: Path | None = None, overrides: Sequence[str] = (), **options: Any) -> HamiltonInterface:
    """Hamilton by the section `hamilton:` of a YAML file, under the environment and ``section.key=value`` overrides.

    `options` are further arguments of HamiltonInterface, such as `allow_candidates`; what is among them goes first.
    Raises ConfigError as `load_settings` does.

    >>> from huracan.app import configured_hamilton
    >>> hamilton = configured_hamilton(Path("config/base.yaml"))  # doctest: +SKIP
    """
    section = load_settings(file, overrides, os.environ).hamilton
    configured: dict[str, Any] = {
        "model_base_path": section.model_base_path,
        "ranking_coins": section.ranking_coins,
        "ranking_horizons": section.ranking_horizons,
        "ranking_regimes": section.ranking_regimes,
    }
    return HamiltonInterface(**{**configured, **options})
