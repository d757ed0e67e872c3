"""The page in a real browser: figures are drawn, tables sort, nothing complains."""

import shutil
import subprocess

import pytest
from sample_night import sample_night

from huracan.adapters.reports import write_night_page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PROBE = """<script>
const report = [];
window.addEventListener("error", (event) => report.push("error " + event.message));
window.addEventListener("securitypolicyviolation", (event) => report.push("csp " + event.violatedDirective));
window.addEventListener("load", () => setTimeout(() => {
  report.push("plotly " + typeof Plotly);
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  const drawn = () => Object.keys(figures).every((name) => document.querySelector("#figure-" + name + " .main-svg"));
  const wait = () => (drawn() ? finish() : setTimeout(wait, 50));
  wait();
}, 0));
const finish = () => {
  for (const name of Object.keys(figures)) report.push(name + " " + document.querySelectorAll("#figure-" + name + " .main-svg").length);
  const header = document.querySelectorAll("#table-champions th")[6];
  const column = () => Array.from(document.querySelectorAll("#table-champions tbody tr"), (row) => Number(row.cells[6].dataset.sort));
  header.firstElementChild.click();
  const down = column();
  header.firstElementChild.click();
  const up = column();
  const sorted = (list, sign) => list.every((value, place) => place === 0 || sign * (value - list[place - 1]) >= 0);
  report.push("sorted " + (sorted(down, -1) && sorted(up, 1)), "aria " + header.ariaSort);
  document.body.dataset.report = report.join("; ");
};
</script></head>"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs a chromium on the path")
def test_figures_are_drawn_once_unfolded_and_tables_sort_without_a_single_error(tmp_path):
    page = write_night_page(tmp_path / "night", sample_night())
    page.write_text(page.read_text().replace("</head>", PROBE))
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000",
            "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    report = done.stdout.partition('data-report="')[2].partition('"')[0]
    facts = report.split("; ")
    assert [fact for fact in facts if fact.startswith(("error", "csp"))] == []
    assert facts.pop(0) == "plotly undefined"
    drawn = {fact.split()[0]: int(fact.split()[1]) for fact in facts[:3]}
    assert drawn.keys() == {"equity", "skips", "costs"}
    assert all(count > 0 for count in drawn.values())
    assert facts[3:] == ["sorted true", "aria ascending"]
