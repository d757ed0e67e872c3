"""A wave in which nobody's job ran is the machines' fault: the night is refused, whatever each job says for itself."""

import pytest
from plans import make_plan
from records import done, failed, ingested

from huracan.domain.ids import Instrument
from huracan.domain.records import Candidate, SkipCode, Universe
from huracan.errors import DiskFullError, JobFailedError
from huracan.night.state import Night
from huracan.night.waves import ingest_wave


def night(count, former=0):
    def pairs(letter, number):
        instruments = (
            Instrument(market="spot", symbol=f"{letter}{n}USDT", base=f"{letter}{n}", quote="USDT", coin=f"{letter}{n}")
            for n in range(number)
        )
        return tuple(Candidate(instrument=one, volume_24h_gbp=1e9, spread_bps=1.0) for one in instruments)

    plan = make_plan(members=pairs("C", count), historical=pairs("F", former))
    return Night(run_id="r", plan=plan, universe=Universe(now_ms=0, members=(), skips=()), pairs=())


class Wave:
    """Ends each job with the next of these codes, the last for all that follow; an empty one is a record."""

    def __init__(self, *codes):
        self.codes = list(codes)

    async def run(self, plan, work):
        del plan
        return [self._outcome(item.coin) for item in work]

    def _outcome(self, coin):
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        return failed(coin, code, "a reason") if code else done(ingested(coin))


@pytest.mark.parametrize("codes", [("JOB_FAILED",), ("WORKER_LOST",), ("JOB_FAILED", "WORKER_LOST", "JOB_FAILED")])
async def test_a_wave_without_any_result_refuses_the_night(codes):
    with pytest.raises(
        JobFailedError, match=r"all 3 jobs of the ingest wave failed, the first \(C0\) with .*: a reason"
    ):
        await ingest_wave(Wave(*codes), night(3))


@pytest.mark.parametrize(
    ("codes", "pairs"),
    [(("", "JOB_FAILED"), 3), (("UPSTREAM", "JOB_FAILED"), 3), (("DEADLINE",), 3), (("JOB_FAILED",), 1)],
)
async def test_one_result_one_refusal_of_data_or_a_lone_pair_is_an_ordinary_night(codes, pairs):
    after = await ingest_wave(Wave(*codes), night(pairs))
    assert len(after.ingested) + len({skip.coin for skip in after.skips}) == pairs


async def test_former_pairs_do_not_hide_that_no_member_ran_and_their_failures_refuse_nothing():
    with pytest.raises(JobFailedError, match="all 2 jobs"):
        await ingest_wave(Wave("JOB_FAILED", "JOB_FAILED", ""), night(2, former=3))
    after = await ingest_wave(Wave("", "", "JOB_FAILED"), night(2, former=3))
    assert len(after.ingested) == 2
    assert set(after.historical.failed.values()) == {SkipCode.JOB_FAILED}


async def test_a_full_disk_is_called_by_its_name_even_then():
    with pytest.raises(DiskFullError):
        await ingest_wave(Wave("JOB_FAILED", "DISK_FULL"), night(2))
