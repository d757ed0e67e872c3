"""`huracan run`: one night against an exchange, then a table a person enjoys reading."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from huracan.cli.output import print_json
from huracan.errors import HuracanError

if TYPE_CHECKING:
    from huracan.app import TrainingPipelineConfig
    from huracan.cli.notices import Notices


def run_night(
    *,
    config: Path | None,
    overrides: Sequence[str],
    as_of: str | None,
    deadline: str | None,
    workdir: Path | None,
    as_json: bool,
    verbose: bool = False,
) -> int:
    """Run a night and print it; returns the exit status."""
    from huracan.app import TrainingPipelineConfig
    from huracan.app.demos import refuse_demo
    from huracan.cli.notices import Notices
    from huracan.cli.places import workdir_of
    from huracan.cli.watching import say_notices
    from huracan.settings import load_settings

    settings = load_settings(config, overrides, os.environ)
    refuse_demo(workdir_of(workdir), "a night of the real market")
    pipeline_config = TrainingPipelineConfig.from_settings(settings, workdir=workdir, as_of=as_of, deadline=deadline)
    notices = Notices()
    try:
        result = execute(pipeline_config, as_json=as_json, verbose=verbose, notices=notices)
        return report(result, as_json=as_json)
    finally:
        if not as_json:
            say_notices(notices)


def execute(
    config: "TrainingPipelineConfig", *, as_json: bool, verbose: bool = False, notices: "Notices | None" = None
) -> Mapping[str, object]:
    """The result of a pipeline run that is shown meanwhile; what must be said at the end goes to `notices`."""
    import stamina.instrumentation

    from huracan.app import TrainingPipeline
    from huracan.cli.notices import Notices
    from huracan.cli.watching import watched

    stamina.instrumentation.set_on_retry_hooks(())  # they would print to stdout, which belongs to the result
    with watched(notices or Notices(), as_json=as_json, verbose=verbose) as telemetry:
        return asyncio.run(TrainingPipeline(config, telemetry=telemetry).run())


def report(body: Mapping[str, object], *, as_json: bool) -> int:
    """Print a result; returns the exit status that belongs to it."""
    from huracan.cli.run_result import copies_exit, run_result, without_models

    if as_json:
        print_json(without_models(body))
    if body["success"]:
        result = run_result(body)
        if not as_json:
            from huracan.cli.tables import print_night

            print_night(result)
        return copies_exit(result.publish_state)
    if body.get("report") and not as_json:
        from huracan.cli.cards import terminal

        terminal().print(f"report {body['report']}", markup=False, soft_wrap=True)
    error = body.get("exception")
    if not isinstance(error, HuracanError):
        return 1
    if not as_json:
        raise error
    return error.exit_status
