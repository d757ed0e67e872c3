"""A process that reads signed but malformed forests by the thousand: `tree_mutants.py SEED COUNT` prints what became of them."""

import json
import sys
from pathlib import Path

import numpy as np


def mutate_trees(start, count):
    """Mutated forests as signed bytes: refused by the declared error, or evaluated to the end with finite leaves."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "hamilton"))
    import factory

    from huracan.domain.bundle import model_from_bytes, model_to_bytes
    from huracan.domain.model import TreeArrays
    from huracan.domain.tensors import read_tensors, write_tensors
    from huracan.errors import BundleFormatError
    from huracan.stats.evaluate import evaluate, regime_codes

    rng = np.random.default_rng(start)
    model, x = factory.model(engines=2, trees=2), factory.rows(3)
    tensors, metadata = read_tensors(model_to_bytes(model))
    names = [f"forest.0.{name}" for name in TreeArrays.__slots__]
    outcome = {"refused": 0, "evaluated": 0}
    for _ in range(count):
        changed = {name: tensors[name].copy() for name in names}
        for _ in range(rng.integers(1, 4)):
            array = changed[names[rng.integers(len(names))]]
            whole = [-(2**63), -(2**62), -9, -8, -1, 0, 1, 3, 6, 7, 30, 2**62, 2**63 - 1]
            wild = whole if array.dtype == np.int64 else [np.nan, np.inf, -1e308, 1e308, 5e-324, 0.0, 1.5]
            array[rng.integers(array.size)] = wild[rng.integers(len(wild))]
        if rng.random() < 0.1:
            name = names[rng.integers(len(names))]
            changed[name] = changed[name][: rng.integers(changed[name].size + 1)]
        try:
            # Written by hand and not by `model_to_bytes`: what a signing host with a bug would sign.
            again = model_from_bytes(write_tensors({**tensors, **changed}, metadata))
        except BundleFormatError:
            outcome["refused"] += 1
            continue
        decisions = evaluate(again, x, regime_codes(again, x))
        assert decisions.score.shape == (3,)
        outcome["evaluated"] += 1
    return outcome


if __name__ == "__main__":
    print(json.dumps(mutate_trees(int(sys.argv[1]), int(sys.argv[2]))))
