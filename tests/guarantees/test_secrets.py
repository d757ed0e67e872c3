"""Secrets in every slot of the environment and the configuration: none comes out anywhere, in any form."""

import base64
import json
import os
import time
from contextlib import suppress
from urllib.parse import quote

import pytest
from canaries import CANARIES, SLOTS
from commands import Commands
from faults import NOTHING, needs_gate
from invariants import everything_written, forms, secrets_found
from machines import ray_folder

from huracan.worlds.dropbox import App, DropboxServer

pytestmark = [pytest.mark.slow, needs_gate]


def test_every_form_of_a_secret_is_found_where_it_is_planted():
    """Otherwise nothing below could ever fail."""
    secret = CANARIES["DROPBOX_ACCESS_TOKEN"]
    for text in (
        f"a{secret}b",
        json.dumps({"url": f"http://u:{secret}@h"}),
        secret.encode().hex(),
        *(base64.b64encode(b"user:"[:count] + secret.encode() + b"tail").decode() for count in range(6)),
    ):
        assert secrets_found({"place": text.encode()}, {"token": secret}), text
    assert len(set(forms(secret).values())) >= 7
    assert secrets_found({"place": b"nothing of the kind"}, {"token": secret}) == []


@pytest.fixture(scope="module")
def slots():
    """The environment of a user who has a secret everywhere where one can be, publishes with it, and logs everything."""
    app = App(
        key=CANARIES["DROPBOX_APP_KEY"],
        secret=CANARIES["DROPBOX_APP_SECRET"],
        refresh_token=CANARIES["DROPBOX_REFRESH_TOKEN"],
    )
    with DropboxServer(app=app) as dropbox:
        yield {
            **SLOTS,
            "LOG_EVERYTHING": "1",
            "HURACAN_DROPBOX__API_HOST": dropbox.host,
            "HURACAN_DROPBOX__CA_FILE": str(dropbox.ca_file),
        }


def leaks(nights, name, outcome):
    texts = everything_written(nights.folder / name, but=[nights.folder / name / "keys"])
    texts |= {str(path): path.read_bytes() for path in outcome.out.iterdir()}
    assert len(texts) >= 2
    return secrets_found(texts, CANARIES)


@pytest.mark.guarantee("R20")
@pytest.mark.parametrize("how", ["whole", "refused", "killed"])
def test_no_secret_leaves_a_night_that_ends_well_or_badly(nights, slots, counted, how):
    gate = {"kind": "kill", "at": 500} if how == "killed" else NOTHING
    more = {
        "whole": (),
        "killed": (),
        "refused": ("--set", "binance.rest_url=http://127.0.0.1:9", "--set", "binance.total_timeout_s=1"),
    }[how]
    outcome = nights.run(f"secrets-{how}", gate, *more, **slots)
    ended = {"whole": outcome.status == 0, "refused": outcome.status == 3, "killed": outcome.killed}
    assert ended[how], outcome.told()[-900:]
    assert leaks(nights, f"secrets-{how}", outcome) == []
    counted(len(CANARIES) * len(forms("canary")))


@pytest.mark.guarantee("R20")
@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_no_secret_leaves_a_whole_night_on_a_cluster_or_stays_in_its_folders(nights, slots, counted, kind):
    """What the cluster's own processes write counts as well: their temporary folder is one of the night's."""
    with ray_folder() as short:
        short.mkdir(mode=0o700)
        variables = {
            **slots,
            "HURACAN_DROPBOX__BASE_PATH": f"/{kind}",
            "TMPDIR": str(short),
            "RAY_BACKEND_LOG_LEVEL": "debug",
            "PYTHONUNBUFFERED": "1",
        }
        commands = Commands(
            folder=nights.folder, urls=nights.exchange.urls, workers=2, max_coins=3, environment=variables
        )
        name = f"secrets-{kind}"
        process = commands.start(name, kind)
        texts: dict[str, bytes] = {}
        while process.poll() is None:  # a cluster removes its folder when it ends
            texts |= written_now(short)
            time.sleep(0.2)
        assert process.returncode == 0, commands.told(name)
        assert commands.answer(name)["summary"]["publish_state"]
        texts |= everything_written(nights.folder / name, but=[nights.folder / name / "keys"])
        if kind == "ray":
            assert any("raylet" in path for path in texts), "nothing of the cluster itself was seen"
        assert secrets_found(texts, CANARIES) == []
    counted(len(CANARIES) * len(forms("canary")))


def written_now(folder):
    """What lies below a folder that others change meanwhile."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                found[str(path)] = path.read_bytes()
    return found


@pytest.mark.guarantee("R20")
@pytest.mark.parametrize("slot", ["REST_URL", "FUTURES_URL", "ARCHIVE_URL"])
def test_a_password_in_a_url_of_the_exchange_is_refused_without_repeating_it(nights, counted, slot):
    """Public market data need none; refused at the door it cannot reach plans, errors, logs or ledgers."""
    for quoted in (CANARIES["EXCHANGE_URL"], quote(CANARIES["EXCHANGE_URL"], safe="")):
        url = f"http://user:{quoted}@127.0.0.1:9"
        sets = ("--set", f"binance.{slot.lower()}={url}")
        for arguments, environment in (((), {f"HURACAN_BINANCE__{slot}": url}), (sets, {})):
            outcome = run_with(nights, slot, arguments, environment)
            assert outcome.status == 2, outcome.told()
            assert "user name or password" in outcome.told()
            assert leaks(nights, f"url-{slot}", outcome) == []
            counted(len(forms("canary")))


def run_with(nights, slot, arguments, environment):
    """A night whose exchange is named by these arguments or variables alone."""
    before = nights.sets
    nights.sets = []
    try:
        return nights.run(f"url-{slot}", NOTHING, *arguments, **environment, LOG_EVERYTHING="1")
    finally:
        nights.sets = before


@pytest.mark.guarantee("R20")
def test_a_secret_under_a_misspelt_name_is_not_repeated(nights, counted):
    name = "HURACAN_DROPBOX__ACCESS_TOKEN"
    outcome = nights.run("misspelt", NOTHING, **{name: CANARIES["DROPBOX_ACCESS_TOKEN"]})
    assert outcome.status == 2, outcome.told()
    assert "ACCESS_TOKEN" in outcome.told()
    assert leaks(nights, "misspelt", outcome) == []
    counted(len(forms("canary")))


def test_the_environment_of_the_suite_holds_canaries_where_it_was_asked_for(request):
    if request.config.getoption("--canary"):
        assert os.environ["AWS_SESSION_TOKEN"] == CANARIES["AWS_SESSION_TOKEN"]
