"""A first run that was killed right after it made its keys must not leave a store that nobody here can verify."""

import os

from huracan.adapters.keys import init_keys
from huracan.adapters.publishers.folder import FolderStore
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app.release import FolderRelease
from huracan.app.wiring import SystemClock


def test_keys_without_a_trusted_root_get_it_installed_and_an_existing_one_is_left_alone(own_trust):
    keys = init_keys(own_trust / "keys", None, wall_clock_ms=SystemClock().now_ms())
    release = FolderRelease(FolderStore(own_trust / "store"), SystemClock(), RecordingTelemetry(), os.environ)
    trusted = own_trust / "trust" / "root.json"
    assert release._keys(create=False).roots == keys.roots
    assert not trusted.exists()
    release._keys(create=True)
    assert trusted.read_bytes() == keys.roots[0]
    trusted.write_bytes(b"of others")
    release._keys(create=True)
    assert trusted.read_bytes() == b"of others"
