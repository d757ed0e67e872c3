"""The site builds without a warning, every link leads somewhere, and no page asks another host for anything."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import DOCS, ROOT, tool

links = tool("docs_links")


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_every_link_leads_somewhere(tmp_path):
    zensical = Path(sys.executable).with_name("zensical")
    if not zensical.exists():
        pytest.skip("zensical is not installed; `make install` does so")
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        [zensical, "build", "--strict"], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    site = tmp_path / "build" / "docs"
    assert len(list(site.glob("*.html"))) > 20
    assert (site / "llms.txt").is_file()
    assert list(links.broken_links(site)) == []
    assert list(links.broken_in_markdown(ROOT / "README.md", site)) == []


@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ('<a href="nowhere.html">', "no such file"),
        ('<a href="b.html#nothing">', "has no anchor"),
        ('<img src="images/none.png">', "no such file"),
        ('<a href="https://exa mple">', "no address"),
        ('<a href="ftp://example.org/">', "no address"),
        ('<script src="https://cdn.example.org/x.js">', "another host"),
        ('<link rel="stylesheet" href="https://fonts.example.org/x.css">', "another host"),
    ],
)
def test_a_broken_link_is_told(tmp_path, tag, problem):
    (tmp_path / "a.html").write_text(f"<p id='here'>{tag}</p>")
    (tmp_path / "b.html").write_text("<a href='a.html#here'>back</a><a href='https://example.org/x'>out</a>")
    assert problem in "\n".join(links.broken_links(tmp_path))
    (tmp_path / "a.html").write_text("<p id='here'></p>")
    assert list(links.broken_links(tmp_path)) == []
