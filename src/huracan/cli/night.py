"""`huracan run`: one night against an exchange, then a table a person enjoys reading."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huracan.cli.output import print_json
from huracan.errors import HuracanError

if TYPE_CHECKING:
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


def execute(config: Any, *, as_json: bool, verbose: bool = False, notices: "Notices | None" = None) -> dict[str, Any]:
    """The result of a pipeline run that is shown meanwhile; what must be said at the end goes to `notices`."""
    import stamina.instrumentation

    from huracan.app import TrainingPipeline
    from huracan.cli.notices import Notices
    from huracan.cli.watching import watched

    stamina.instrumentation.set_on_retry_hooks(())  # they would print to stdout, which belongs to the result
    with watched(notices or Notices(), as_json=as_json, verbose=verbose) as telemetry:
        return asyncio.run(TrainingPipeline(config, telemetry=telemetry).run())


def report(result: dict[str, Any], *, as_json: bool) -> int:
    """Print a result; returns the exit status that belongs to it."""
    if as_json:
        print_json(_without_arrays(result))
    elif result["success"]:
        from huracan.cli.tables import print_night

        print_night(result)
    if result["success"]:
        from huracan.app.mirrors import publish_exit

        return publish_exit(result["publish_state"])
    if result.get("report") and not as_json:
        from huracan.cli.tables import terminal

        terminal().print(f"report {result['report']}", markup=False, soft_wrap=True)
    error = result["exception"] if isinstance(result.get("exception"), HuracanError) else None
    if error is not None and not as_json:
        raise error
    return error.exit_status if error is not None else 1


def _without_arrays(result: dict[str, Any]) -> dict[str, Any]:
    """The result as JSON has it: a model is its bundle's path, an error its code and text."""
    rows = {
        kind: {key: {**row, "model": row.get("path")} for key, row in result[kind].items()}
        for kind in ("champions", "candidates")
    }
    return {**{key: value for key, value in result.items() if key != "exception"}, **rows}
