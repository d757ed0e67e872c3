"""Step 4: forward returns from the fill the latency allows, weighted by how unique they are."""

from huracan.labels.forward import label_forward_returns
from huracan.labels.uniqueness import average_uniqueness

__all__ = ["average_uniqueness", "label_forward_returns"]
