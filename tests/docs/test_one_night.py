"""The page that follows one pair through a night has the numbers of that night."""

import pytest
from pages import DOCS, tool


@pytest.mark.slow
def test_the_page_of_one_night_is_what_its_script_makes_of_the_night(finished_night):
    made = tool("one_night").page(finished_night.folder / "workdir", "GAPPY", "1h")
    assert (DOCS / "one-night.md").read_text(encoding="utf-8") == made
