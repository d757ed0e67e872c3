"""What is no name is refused in words, never by the error of some inner line."""

import pytest

from huracan.errors import ModelLoadError
from huracan.hamilton import HamiltonInterface

NO_TEXT = [None, 7, 1.5, b"BTC", ["BTC"], {"coin": "BTC"}]


@pytest.fixture
def hamilton(finished_night, tmp_path):
    root = finished_night.folder / "trust" / "root.json"
    return HamiltonInterface(finished_night.store, trusted_root=root, state_dir=tmp_path)


@pytest.mark.parametrize("name", NO_TEXT, ids=repr)
def test_a_coin_or_a_horizon_that_is_no_text_is_refused(hamilton, name):
    for call in (
        lambda: hamilton.load_model(name, "1h"),
        lambda: hamilton.load_model("BTC", name),
        lambda: hamilton.predict(name, "1h", {}),
        lambda: hamilton.predict("BTC", name, {}),
        lambda: hamilton.is_coin_blocked(name),
        lambda: hamilton.add_blocked_coin(name, "by hand"),
        lambda: hamilton.add_blocked_coin("BTC", name),
        lambda: hamilton.remove_blocked_coin(name),
    ):
        with pytest.raises(ModelLoadError, match="wanted a text such as"):
            call()
