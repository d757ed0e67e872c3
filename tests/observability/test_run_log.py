"""The log of a night on a disk that is full."""

from pathlib import Path

import pytest

from huracan.adapters.telemetry.run_log import RunLog


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_log_that_cannot_be_written_out_ends_in_silence(tmp_path):
    log = RunLog()
    log.event("workdir_opened", folder=str(tmp_path), last_success_ms=None)
    sink = log._log._sink
    sink._file.close()
    sink._file = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"):
        log.event("run_started", run_id="r")
    log.close()
