"""The one script that stands beside the pages is plotly.js as its makers published it, with their licence."""

import hashlib
from importlib.metadata import distribution
from importlib.resources import files

import plotly.offline
from sample_night import sample_night

from huracan.adapters.reports import write_night_page

VENDORED = files("huracan.reports") / "static"
SHA256 = "3b6e15d45dbb7fca5bd2094291e961ddc5472cd887009e6009a56dab668d721f"


def test_the_script_has_the_hash_of_the_version_that_its_licence_names():
    script = (VENDORED / "plotly.min.js").read_bytes()
    assert hashlib.sha256(script).hexdigest() == SHA256
    version = script.split(b"\n")[1].removeprefix(b"* plotly.js v").decode()
    assert f"version {version} of plotly.js" in (VENDORED / "plotly.LICENSE.txt").read_text()


def test_the_script_is_that_of_the_plotly_package_that_the_lock_names():
    assert plotly.offline.get_plotlyjs().encode() == (VENDORED / "plotly.min.js").read_bytes()
    licence = (VENDORED / "plotly.LICENSE.txt").read_text()
    assert licence.splitlines()[0].endswith(f"(from the wheel of plotly {distribution('plotly').version}), unchanged:")
    assert licence.endswith(distribution("plotly").read_text("licenses/LICENSE.txt"))


def test_a_page_gets_the_vendored_script_beside_it(tmp_path):
    page = write_night_page(tmp_path / "night", sample_night())
    assert hashlib.sha256((page.parent / "plotly.min.js").read_bytes()).hexdigest() == SHA256
