"""Trusted root, state and keys lie where nobody else can put others in their place."""

import os
import shutil
import stat

import pytest

from huracan.adapters.keys import load_keys
from huracan.errors import ConfigError, ModelLoadError
from huracan.export.private import open_parent
from huracan.hamilton import HamiltonInterface

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes say nothing here")

SHARED = (0o777, 0o757, 0o733)
GROUP = (0o770, 0o775)


@pytest.fixture
def foreign_group(monkeypatch):
    """Groups are shared, whoever runs the tests."""
    monkeypatch.setattr(os, "getegid", lambda: 0)


@pytest.mark.parametrize("mode", [*SHARED, *GROUP])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_root_in_a_folder_that_others_may_write_is_refused(world, factory, foreign_group, mode, depth):
    world.publish(factory.bundle())
    outer = world.folder / "a"
    inner = outer / "b" / "c"
    inner.mkdir(parents=True)
    shutil.copy(world.trusted, inner / "root.json")
    folder = (inner, inner.parent, outer)[depth - 1]
    assert world.hamilton(trusted_root=inner / "root.json").load_model("BTC", "1h")
    folder.chmod(mode)
    with pytest.raises(ModelLoadError, match=f"others may write into {folder} .*chmod go-w"):
        world.hamilton(trusted_root=inner / "root.json").load_model("BTC", "1h")
    link = world.folder / "link.json"
    link.symlink_to(inner / "root.json")
    with pytest.raises(ModelLoadError, match=f"others may write into {folder} "):
        world.hamilton(trusted_root=link).load_model("BTC", "1h")


@pytest.mark.parametrize("mode", [*SHARED, *GROUP])
def test_state_in_a_folder_that_others_may_write_is_refused(world, factory, foreign_group, mode):
    world.publish(factory.bundle())
    home = world.folder / "shared"
    home.mkdir()
    home.chmod(mode)
    hamilton = world.hamilton(state_dir=home)
    with pytest.raises(ModelLoadError, match=r"others may write into .*HURACAN_STATE_DIR"):
        hamilton.load_model("BTC", "1h")
    with pytest.raises(ModelLoadError, match="others may write into"):
        hamilton.add_blocked_coin("BTC", "by hand")


@pytest.mark.parametrize("mode", [*SHARED, *GROUP])
def test_keys_in_a_folder_that_others_may_write_are_refused(world, foreign_group, mode):
    load_keys(world.folder / "keys")
    (world.folder / "keys").chmod(mode)
    with pytest.raises(ConfigError, match=r"others may write into .*HURACAN_KEYS_DIR"):
        load_keys(world.folder / "keys")


def test_a_sticky_folder_is_no_way_in_unless_what_lies_there_is_anothers(tmp_path, monkeypatch):
    sticky = tmp_path / "sticky"
    (sticky / "mine").mkdir(parents=True)
    sticky.chmod(0o777 | stat.S_ISVTX)
    assert open_parent(sticky / "mine" / "root.json") is None
    if os.geteuid() == 0:
        os.chown(sticky / "mine", 12345, -1)
        assert open_parent(sticky / "mine" / "root.json") == sticky


def test_a_group_of_ones_own_is_nobody_else(tmp_path, monkeypatch):
    tmp_path.chmod(0o770)
    gid = 54321
    if os.geteuid() != 0:
        pytest.skip("only root may give a folder to another group")
    os.chown(tmp_path, -1, gid)
    monkeypatch.setattr(os, "getegid", lambda: gid)
    assert open_parent(tmp_path / "x") is None
    monkeypatch.setattr(os, "getegid", lambda: gid + 1)
    assert open_parent(tmp_path / "x") == tmp_path


def test_a_store_may_lie_where_others_write(world, factory):
    world.publish(factory.bundle())
    world.root.chmod(0o777)
    assert isinstance(world.hamilton(), HamiltonInterface)
    assert world.hamilton().load_model("BTC", "1h")
