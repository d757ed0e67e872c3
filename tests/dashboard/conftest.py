"""The page over a made-up workdir, and over the shared night."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from dashboards import progress, served, summary

from huracan.adapters.dashboard import WorkdirReader


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """A workdir with a progress file and one summary, and no ledger."""
    folder = tmp_path / "workdir"
    (folder / "summaries").mkdir(parents=True)
    (folder / "progress.json").write_text(json.dumps(progress()))
    (folder / "summaries" / "20260501_000000_summary.json").write_text(json.dumps(summary()))
    return folder


@pytest.fixture
def page(workdir: Path) -> Iterator[httpx2.Client]:
    """A client of the page over the made-up workdir."""
    with served(WorkdirReader(workdir)) as url, httpx2.Client(base_url=url, trust_env=False) as client:
        yield client


@pytest.fixture
def reader_of_night(finished_night):
    """A reader of the shared finished night, and the night."""
    folder = finished_night.folder
    return WorkdirReader(folder / "workdir", trusted_root=folder / "trust" / "root.json"), finished_night
