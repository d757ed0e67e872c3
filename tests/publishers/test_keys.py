"""Keys: made once, private, rotated under the old root, and never overwritten by a run."""

import pytest
from pydantic import SecretStr
from tuf.api.metadata import Metadata

from huracan.adapters.keys import (
    init_keys,
    install_trusted_root,
    keys_folder,
    load_keys,
    rotate_keys,
    trusted_root_file,
)
from huracan.errors import ConfigError
from huracan.export.trust import root_version

NOW = 1_800_000_000_000


def test_keys_are_private_and_loaded_again(tmp_path):
    keys = init_keys(tmp_path / "keys", None, wall_clock_ms=NOW)
    assert keys.root_protected is False
    assert load_keys(tmp_path / "keys").online.public_key == keys.online.public_key
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    for file in (tmp_path / "keys").iterdir():
        assert file.stat().st_mode & 0o077 == 0
    root = Metadata.from_bytes(keys.roots[0]).signed
    assert (root.expires.timestamp() * 1000 - NOW) / 86_400_000 == 365
    assert keys.root_expires_ms - NOW == 365 * 86_400_000
    assert root.consistent_snapshot


def test_a_passphrase_protects_the_root_key_only(tmp_path):
    keys = init_keys(tmp_path, SecretStr("correct horse"), wall_clock_ms=NOW)
    assert keys.root_protected is True
    assert b"ENCRYPTED" in next(tmp_path.glob("root-*.pem")).read_bytes()
    assert b"ENCRYPTED" not in next(tmp_path.glob("online-*.pem")).read_bytes()
    assert "horse" not in repr(keys)


def test_a_second_init_refuses_and_changes_nothing(tmp_path):
    init_keys(tmp_path, None, wall_clock_ms=NOW)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match="rotate"):
        init_keys(tmp_path, None, wall_clock_ms=NOW)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_missing_keys_say_how_to_make_them(tmp_path):
    with pytest.raises(ConfigError, match="huracan keys init"):
        load_keys(tmp_path)


def test_a_key_others_can_read_is_refused(tmp_path):
    init_keys(tmp_path, None, wall_clock_ms=NOW)
    next(tmp_path.glob("online-*.pem")).chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_keys(tmp_path)


def test_a_damaged_or_foreign_key_is_refused(tmp_path):
    init_keys(tmp_path, None, wall_clock_ms=NOW)
    file = next(tmp_path.glob("online-*.pem"))
    file.write_bytes(b"not a key")
    with pytest.raises(ConfigError, match="damaged"):
        load_keys(tmp_path)
    file.unlink()
    with pytest.raises(ConfigError, match="safe place"):
        load_keys(tmp_path)


def test_a_root_file_of_another_version_is_refused(tmp_path):
    init_keys(tmp_path, None, wall_clock_ms=NOW)
    rotate_keys(tmp_path, None, wall_clock_ms=NOW)
    (tmp_path / "1.root.json").unlink()
    (tmp_path / "2.root.json").rename(tmp_path / "1.root.json")
    with pytest.raises(ConfigError, match="version 1"):
        load_keys(tmp_path)


@pytest.mark.parametrize("new_root", [False, True])
def test_rotation_is_signed_by_the_old_root_and_replaces_the_online_key(tmp_path, new_root):
    secret = SecretStr("s")
    old = init_keys(tmp_path, secret, wall_clock_ms=NOW)
    new = rotate_keys(tmp_path, secret, wall_clock_ms=NOW, new_root=new_root)
    assert [root_version(data) for data in new.roots] == [1, 2]
    assert new.online.public_key != old.online.public_key
    first, second = (Metadata.from_bytes(data) for data in new.roots)
    first.signed.verify_delegate("root", second.signed_bytes, second.signatures)
    second.signed.verify_delegate("root", second.signed_bytes, second.signatures)
    assert (first.signed.roles["root"].keyids != second.signed.roles["root"].keyids) is new_root


def test_rotation_without_the_root_key_or_its_passphrase_leaves_the_keys_alone(tmp_path):
    init_keys(tmp_path, SecretStr("right"), wall_clock_ms=NOW)
    for secret in (None, SecretStr("wrong")):
        with pytest.raises(ConfigError, match="passphrase"):
            rotate_keys(tmp_path, secret, wall_clock_ms=NOW)
    next(tmp_path.glob("root-*.pem")).rename(tmp_path / "moved-away")
    with pytest.raises(ConfigError, match="safe place"):
        rotate_keys(tmp_path, SecretStr("right"), wall_clock_ms=NOW)
    keys = load_keys(tmp_path)
    assert keys.root_protected is None
    assert len(keys.roots) == 1


def test_the_trusted_root_is_installed_once_and_never_replaced(tmp_path):
    keys = init_keys(tmp_path / "a", None, wall_clock_ms=NOW)
    file = tmp_path / "trust" / "root.json"
    assert install_trusted_root(keys, file) is True
    assert install_trusted_root(keys, file) is False
    other = init_keys(tmp_path / "b", None, wall_clock_ms=NOW)
    with pytest.raises(ConfigError, match="other keys"):
        install_trusted_root(other, file)
    assert file.read_bytes() == keys.roots[0]


def test_places_come_from_the_environment_or_the_configuration_folder(tmp_path):
    assert str(keys_folder({"HURACAN_KEYS_DIR": "/k"})) == "/k"
    assert str(keys_folder({"XDG_CONFIG_HOME": "/c"})) == "/c/huracan/keys"
    assert str(trusted_root_file({"HURACAN_TRUSTED_ROOT": "/r.json"})) == "/r.json"
    assert trusted_root_file({}).parts[-4:] == (".config", "huracan", "trust", "root.json")
