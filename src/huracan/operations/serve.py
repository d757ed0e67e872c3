"""Hamilton as the configuration describes it: which store it serves, and what its ranking is cut down to."""

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from huracan.hamilton import HamiltonInterface
from huracan.settings import load_settings

if TYPE_CHECKING:
    from huracan.ports import BundleSource


class HamiltonOptions(TypedDict, total=False):
    """The arguments of HamiltonInterface."""

    model_base_path: str | Path
    ranking_coins: Collection[str] | None
    ranking_horizons: Collection[str] | None
    ranking_regimes: Collection[str] | None
    allow_candidates: bool
    trusted_root: str | Path | None
    source: "BundleSource | None"
    state_dir: str | Path | None
    now_ms: Callable[[], int]


def configured_hamilton(
    file: Path | None = None, overrides: Sequence[str] = (), **options: Unpack[HamiltonOptions]
) -> HamiltonInterface:
    """Hamilton by the section `hamilton:` of a YAML file, under the environment and ``section.key=value`` overrides.

    `options` are further arguments of HamiltonInterface, such as `allow_candidates`; what is among them goes first.
    Raises ConfigError as `load_settings` does.

    >>> from huracan.app import configured_hamilton
    >>> hamilton = configured_hamilton(Path("config/base.yaml"))  # doctest: +SKIP
    """
    section = load_settings(file, overrides, os.environ).hamilton
    configured: HamiltonOptions = {
        "model_base_path": section.model_base_path,
        "ranking_coins": section.ranking_coins,
        "ranking_horizons": section.ranking_horizons,
        "ranking_regimes": section.ranking_regimes,
    }
    return HamiltonInterface(**(configured | options))
