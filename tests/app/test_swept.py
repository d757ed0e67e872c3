"""What killed runs left half-written goes with the next run; finished files stay."""

from huracan.adapters.artefacts import LocalArtefacts
from huracan.adapters.reports import sweep_reports, write_atomically


def test_half_written_artefacts_and_reports_are_swept_and_whole_ones_stay(tmp_path):
    store = LocalArtefacts(tmp_path / "artefacts")
    store.put("cells/a", b"1")
    left = [
        tmp_path / "artefacts" / ".staging" / "dead",
        tmp_path / "summaries" / ".x.tmp",
        tmp_path / "reports" / "run" / ".index.tmp",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    whole = write_atomically(tmp_path / "reports" / "run" / "index.html", b"page")
    store.sweep()
    sweep_reports(tmp_path)
    assert not any(path.exists() for path in left)
    assert (store.get("cells/a"), whole.read_bytes(), whole.stat().st_mode & 0o777) == (b"1", b"page", 0o644)
