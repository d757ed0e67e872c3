"""Golden rows: a few feature rows with the outputs of the day of training, replayed wherever the model is loaded."""

from typing import Final, TypeGuard

import numpy as np

from huracan.domain.arrays import F64
from huracan.domain.ids import canonical_json
from huracan.domain.json import Json
from huracan.domain.model import ChampionModel
from huracan.domain.strict import strict_json
from huracan.errors import BundleFormatError, FeatureSkewError
from huracan.stats.evaluate import CompiledModel, Decisions, evaluate, regime_codes

MAX_ROWS: Final = 32
MAX_GOLDEN: Final = 16 << 20

_FORMAT = "huracan-golden/1"
_OUTPUTS = ("edges", "score", "edge_bps", "confidence", "side", "position_fraction")


def golden_rows(model: ChampionModel, x: F64) -> bytes:
    """The file golden.json: up to 32 evenly spread finite rows of x (n, p) and what the model makes of them.

    Numbers are hexadecimal floats, so a comparison is exact. Raises BundleFormatError when no row is usable.
    """
    usable = x[np.isfinite(x).all(axis=1) & (regime_codes(model, x) >= 0)]
    if usable.shape[0] == 0:
        raise BundleFormatError("golden rows: no row of finite features with a known regime")
    chosen = np.unique(np.linspace(0, usable.shape[0] - 1, MAX_ROWS).round().astype(np.int64))
    rows = np.ascontiguousarray(usable[chosen])
    decisions = evaluate(model, rows, regime_codes(model, rows))
    return canonical_json(
        {
            "format": _FORMAT,
            "feature_names": model.feature_names,
            "rows": _hex(rows),
            "expected": {name: _hex(_columns(decisions, name)) for name in _OUTPUTS},
        }
    )


def replay_golden(model: CompiledModel, data: bytes, what: str) -> None:
    """Raise FeatureSkewError unless today's code gives the recorded outputs, bit for bit; `what` names the bundle."""
    record = strict_json(data, MAX_GOLDEN, what=f"{what} golden rows")
    if not isinstance(record, dict) or set(record) != {"format", "feature_names", "rows", "expected"}:
        raise BundleFormatError(f"{what}: golden rows are not {_FORMAT}")
    if record["format"] != _FORMAT or record["feature_names"] != list(model.feature_names):
        raise BundleFormatError(f"{what}: golden rows are of another format or other features than the model")
    rows = _matrix(record["rows"], len(model.feature_names), what)
    expected = record["expected"]
    if not isinstance(expected, dict) or set(expected) != set(_OUTPUTS):
        seen = sorted(expected)[:9] if isinstance(expected, dict) else type(expected).__name__
        raise BundleFormatError(f"{what}: golden outputs {seen}, wanted {sorted(_OUTPUTS)}")
    decisions = evaluate(model, rows, regime_codes(model, rows))
    for name in _OUTPUTS:
        now = _columns(decisions, name)
        then = _matrix(expected[name], now.shape[1], what)
        if then.shape != now.shape or now.tobytes() != then.tobytes():
            raise FeatureSkewError(
                f"{what}: golden rows give another {name} than on the day of training: the code has changed since."
                " Install the version of huracan that trained it, or train again."
            )


def _columns(decisions: Decisions, name: str) -> F64:
    values = np.asarray(getattr(decisions, name), dtype=np.float64)
    columns = values.reshape(values.shape[0], -1)
    return np.where(np.isnan(columns), np.nan, columns)  # one NaN pattern


def _hex(matrix: F64) -> list[list[str]]:
    return [[value.hex() for value in row] for row in matrix.tolist()]


def _is_row(value: Json, width: int) -> TypeGuard[list[str]]:
    return isinstance(value, list) and len(value) == width and all(isinstance(number, str) for number in value)


def _matrix(value: Json, width: int, what: str) -> F64:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ROWS:
        raise BundleFormatError(f"{what}: golden rows are not 1 to {MAX_ROWS} rows")
    rows = [row for row in value if _is_row(row, width)]
    if len(rows) != len(value):
        raise BundleFormatError(f"{what}: a golden row does not have {width} hexadecimal numbers")
    try:
        numbers = [[float.fromhex(number) for number in row] for row in rows]
    except (ValueError, OverflowError) as error:
        raise BundleFormatError(f"{what}: a golden number is not hexadecimal") from error
    matrix = np.array(numbers, dtype=np.float64).reshape(len(value), width)
    return np.where(np.isnan(matrix), np.nan, matrix)
