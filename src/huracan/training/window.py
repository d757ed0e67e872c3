"""Which bars the live model of a pair was really fitted on."""

import numpy as np

from huracan.domain.recipe import TrainingPolicy
from huracan.training.design import Design, Labels
from huracan.training.folds import closing_days


def trained_window(design: Design, labels: Labels, policy: TrainingPolicy) -> tuple[int, int]:
    """Open times (ms) of the first and the last bar whose prices tonight's labels rest on: first fill and last exit.

    Data may begin later than `lookback_days` ago, and labels end before the cut-off.
    """
    closing = closing_days(labels.closed_ms)
    recent = (closing <= design.live_day) & (closing > design.live_day - policy.lookback_days)
    rows = np.flatnonzero(design.usable & (design.regime >= 0) & recent & (labels.weight > 0.0))
    return int(labels.start_ms[rows].min()), int(labels.closed_ms[rows].max())
