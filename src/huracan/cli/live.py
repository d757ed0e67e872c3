"""Looking at nights: `huracan dashboard` serves the live page, `huracan report` names the newest night's page."""

import os
import sys
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from huracan.adapters.dashboard import WorkdirReader, checked_access
from huracan.adapters.dashboard.access import TOKEN_VARIABLE
from huracan.adapters.dashboard.reading import newest_report, run_ids
from huracan.adapters.keys import trusted_root_file
from huracan.cli.opening import demo_variables, named_workdir
from huracan.cli.output import print_json
from huracan.cli.places import NoWorkdirError, is_workdir, no_workdir, short, workdirs_near
from huracan.errors import ConfigError
from huracan.settings import load_settings

NEWEST_RUNS: Final = 5
"""Runs that a message names."""


def serve(
    *,
    config: Path | None,
    overrides: list[str],
    workdir: Path | None,
    store: Path | None,
    as_json: bool,
) -> int:
    """Serve the live page until interrupted; the first line on stdout is its URL (with --json an object)."""
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"the dashboard needs {', '.join(missing)}: pip install 'huracan-engine[dashboard]'")
    from huracan.adapters.dashboard.server import serve_dashboard

    settings = load_settings(config, overrides, os.environ)
    section, token = settings.dashboard, os.environ.get(TOKEN_VARIABLE)
    access = checked_access(
        host=section.host,
        port=section.port,
        token=SecretStr(token) if token else None,
        tls_cert=section.tls_cert,
        tls_key=section.tls_key,
        allowed_hosts=section.allowed_hosts,
    )
    folder, named = named_workdir(workdir)
    if store is not None and store.exists() and not store.is_dir():
        raise ConfigError(f"{store} is no folder; the live page wants the root of a store, with models/ and metadata/")
    if not named and not is_workdir(folder) and (near := workdirs_near(Path.cwd())):
        raise NoWorkdirError(f"{short(folder)} holds no night, and other folders here do", near)
    trusted = trusted_root_file(demo_variables(folder, named=named)) if store is None else None
    reader = WorkdirReader(folder, store, trusted)

    def started(url: str) -> None:
        if as_json:
            print_json({"url": url, "workdir": str(reader.workdir), "store": str(reader.store)})
        else:
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()
            if not is_workdir(folder):
                sys.stderr.write(
                    f"{short(folder)} holds no night yet; the page shows one as soon as `huracan run` starts\n"
                )

    serve_dashboard(reader, access, started=started)
    return 0


def print_report(*, workdir: Path | None, run_id: str | None, open_it: bool, as_json: bool) -> int:
    """Print where a night's page lies, and open it in the browser where asked; ConfigError where there is none."""
    folder, _ = named_workdir(workdir)
    page = newest_report(folder, run_id)
    if page is None and run_id and (there := run_ids(folder)):
        more = f" and {len(there) - NEWEST_RUNS} older ones" if len(there) > NEWEST_RUNS else ""
        raise ConfigError(
            f"no page of run {run_id} in {short(folder / 'reports')}; it has {', '.join(there[:NEWEST_RUNS])}{more}"
        )
    if page is None:
        raise no_workdir(
            f"no page of {f'run {run_id}' if run_id else 'any night'} in {short(folder / 'reports')}", folder
        )
    opened = webbrowser.open(page.as_uri()) if open_it else None
    if as_json:
        print_json({"report": str(page), "run_id": page.parent.name, "opened": opened})
    else:
        sys.stdout.write(f"{page}\n")
    if opened is False:
        sys.stderr.write(f"no browser could be started here; open {page.as_uri()} by hand\n")
    return 0
