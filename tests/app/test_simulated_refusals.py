"""A refused night of a demo says what market it was on; one of a real market says nothing of it."""

import pytest

from huracan.adapters.progress import ProgressFile
from huracan.adapters.telemetry import RecordingTelemetry
from huracan.app.accounts import write_refusal
from huracan.app.demos import DemoMark, write_mark
from huracan.errors import StaleDataError


@pytest.mark.parametrize("is_demo", [True, False])
def test_the_page_of_a_refused_demo_says_that_it_is_simulated(tmp_path, is_demo):
    if is_demo:
        write_mark(DemoMark(workdir=tmp_path, world="demo"))
    progress = ProgressFile(tmp_path / "progress.json", RecordingTelemetry(), workers=2, backend="asyncio")
    page = write_refusal(tmp_path, progress, StaleDataError("the newest bars are old"), 1_777_000_000_000)
    assert ("Simulated market (demo): nothing here is evidence." in page.read_text(encoding="utf-8")) == is_demo
