"""One small night with every way out open, watched while it runs by real servers; what they saw, as JSON."""

import importlib.util
import json
import time
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from listening import eventually, fetched, free_port, node_exporter, otlp_receiver, prometheus, pushgateway
from nights import night_settings, run_pipeline, small_world

from huracan.worlds.exchange import ReplayExchange

ROOT = Path(__file__).parents[2]
JOBS = ("huracan", "huracan-textfile", "huracan-push")


def renderer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render_dashboard", ROOT / "tools" / "render_dashboard.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def watch_night(folder: Path) -> None:
    """Run it and write folder/watched.json."""
    tool, seen = renderer(), {}
    dashboard = json.loads(tool.DASHBOARD.read_text())
    textfiles, port = folder / "textfiles", free_port()
    textfiles.mkdir()
    with ExitStack() as stack:
        traces = stack.enter_context(otlp_receiver())
        push = stack.enter_context(pushgateway(folder))
        node = stack.enter_context(node_exporter(folder, textfiles))
        url = stack.enter_context(prometheus(folder, dict(zip(JOBS, (port, node, push), strict=True))))
        exchange = stack.enter_context(ReplayExchange(small_world(), stress_file=folder / "stress.json"))
        ways = {
            "metrics__port": port,
            "metrics__textfile": textfiles / "huracan.prom",
            "metrics__pushgateway_url": f"http://127.0.0.1:{push}",
            "telemetry__otlp_endpoint": traces.url,
        }
        start = time.time()
        result, telemetry = run_pipeline(folder, night_settings(exchange.urls, **ways))
        for job in JOBS[1:]:
            ended = f'huracan_run_active{{job="{job}"}} == 0 and huracan_champions{{job="{job}"}}'.partition(" and")[0]
            eventually(lambda ended=ended: tool.ask(url, "query", query=ended), f"scraping the end by {ended}")
        end = time.time()
        lived = tool.ask(url, "query_range", query='up{job="huracan"} == 1', start=start, end=end, step=0.25)
        alive = [float(at) for at, _ in lived[0]["values"]]
        moments = {"huracan": alive[-1], "huracan-textfile": end, "huracan-push": end}
        seen["panels"] = {
            job: {p["title"]: tool.answers(url, p, job, start, at) for p in tool.panels(dashboard)}
            for job, at in moments.items()
        }
        seen["page"] = tool.page(dashboard, url, "huracan-textfile", start, end)
        seen["alive"] = alive
        seen["live"] = {
            name: _maximum(tool, url, name, start, end)
            for name in ("huracan_jobs_running", "huracan_jobs_waiting", "huracan_run_active")
        }
        seen["pushed"] = fetched(f"http://127.0.0.1:{push}/metrics")
    seen |= {"text": (textfiles / "huracan.prom").read_text(), "spans": traces.spans, "resources": traces.resources}
    seen |= {"result": _small(result), "events": telemetry.events}
    (folder / "watched.json").write_text(json.dumps(seen, default=str))


def _maximum(tool: ModuleType, url: str, name: str, start: float, end: float) -> float:
    rows = tool.ask(url, "query_range", query=f'{name}{{job="huracan"}}', start=start, end=end, step=0.25)
    return max(float(value) for row in rows for _, value in row["values"])


def _small(result: dict[str, Any]) -> dict[str, Any]:
    keys = ("success", "coin_universe", "skipped", "horizons", "run_id")
    champions = {key: row["status"] for key, row in result["champions"].items()}
    return {**{key: result[key] for key in keys}, "champions": champions, "candidates": list(result["candidates"])}
