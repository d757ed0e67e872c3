"""A job belongs to one plan, whatever lies in the plan's file by the time it runs."""

import pytest

from huracan.adapters.artefacts import open_artefacts
from huracan.app.worker import run_pair_job
from huracan.domain.ids import canonical_json, sha256_hex
from huracan.errors import DataError
from huracan.training.jobs import TrainingJob


def job_for(path, data):
    payload = {"plan": str(path), "plan_sha256": sha256_hex(data), "task": {"wave": "ingest"}}
    return TrainingJob(coin="BTC", horizon="*", engine_type="train", payload=payload)


def test_a_job_refuses_the_plan_of_another_run(tmp_path):
    path = tmp_path / "plan.json"
    path.write_bytes(canonical_json({"plan": "tonight's"}))
    with pytest.raises(DataError, match="not the plan this job belongs to"):
        run_pair_job(job_for(path, b"yesterday's"))


def test_a_new_plan_under_the_same_path_is_read_anew(tmp_path):
    path = tmp_path / "plan.json"
    for text in ("first", "second"):
        data = canonical_json({text: 1})
        path.write_bytes(data)
        with pytest.raises(KeyError, match="plan"):
            run_pair_job(job_for(path, data))


@pytest.mark.slow
def test_a_plan_among_artefacts_in_a_bucket_is_read_there_and_a_swept_one_is_said(lake_bucket):
    data = canonical_json({"tonight's": 1})
    place = f"{lake_bucket}/plans/{sha256_hex(data)}.json"
    with pytest.raises(DataError, match="is gone"):
        run_pair_job(job_for(place, data))
    open_artefacts(lake_bucket, allow_http=True).put(f"plans/{sha256_hex(data)}.json", data)
    with pytest.raises(KeyError, match="plan"):
        run_pair_job(job_for(place, data))
