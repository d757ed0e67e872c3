"""How many champions a reader sees in a real browser before the shortlist: no scroll inside the page, a short list on a phone."""

import dataclasses
import shutil
import subprocess

import pytest
from sample_night import sample_night

from huracan.adapters.reports import write_night_page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PROBE = """<script>
window.addEventListener("load", () => {
  const shown = () => Array.from(document.querySelectorAll("#table-champions tbody tr")).filter((row) => row.offsetHeight).length;
  const box = document.querySelector("#champions .scroll"), rest = document.querySelector("#champions .rest");
  const before = [shown(), box.scrollHeight > box.clientHeight + 1, rest && rest.offsetHeight > 0];
  if (rest) rest.open = true;
  const report = [...before, shown()].join(" ");
  document.body.dataset.report = report;
  window.parent.postMessage(report, "*");
});
</script></head>"""


def seen(folder, champions, width):
    """Rows shown, whether the table scrolls by itself, whether a fold is offered, and rows shown once it is opened."""
    night = sample_night()
    rows = tuple(dataclasses.replace(night.champions[0], coin=f"COIN{number}") for number in range(champions))
    page = write_night_page(folder / "night", dataclasses.replace(night, champions=rows))
    page.write_text(page.read_text().replace("</head>", PROBE))
    frame = folder / "frame.html"  # a headless window is never as narrow as a phone
    frame.write_text(
        '<body><script>window.addEventListener("message", (told) => { document.body.dataset.report = told.data; });</script>'
        f'<iframe src="{page.as_uri()}" style="width:{width}px;height:900px"></iframe>'
    )
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
            "--allow-file-access-from-files", f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000",
            "--window-size=1400,900", "--dump-dom", page.as_uri() if width > 1000 else frame.as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout.partition('data-report="')[2].partition('"')[0]


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs a chromium on the path")
@pytest.mark.parametrize(
    ("champions", "width", "told"),
    [
        (30, 1400, "30 false false 30"),
        (42, 1400, "30 false true 42"),
        (30, 390, "8 false true 30"),
        (8, 390, "8 false  8"),
    ],
)
def test_champions_are_not_hidden_in_a_scroll_and_folded_after_eight_on_a_phone(tmp_path, champions, width, told):
    assert seen(tmp_path, champions, width) == told
