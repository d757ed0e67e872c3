"""The live page's server: a handful of GET routes, each answer with a strict policy of what it may load."""

import asyncio
import mimetypes
import socket
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from huracan.adapters.dashboard.access import Access
from huracan.adapters.dashboard.reading import WorkdirReader
from huracan.errors import ConfigError
from huracan.reports.live import PARTS, LiveView, live_page, live_part, style_sheets

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from uvicorn import Config

OWN_PAGES: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_PAGES: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A night's page carries its scripts inline; the sandbox takes this server's origin away from it."""
MOST_CONNECTIONS: Final = 256
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Render = Callable[[LiveView], str]


def dashboard_app(reader: WorkdirReader, access: Access) -> "Starlette":
    """The application; every request passes the host and token checks first."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import Response
    from starlette.routing import Route

    async def guard(request: "Request", answer: Callable[["Request"], Awaitable[Response]]) -> Response:
        if not access.admits_host(request.headers.get("host")):
            return _plain(421, "This server does not go by that name.")
        if not access.admits_token(request.headers.get("authorization")):
            response = _plain(401, "The token is missing or wrong.")
            response.headers["WWW-Authenticate"] = 'Basic realm="huracan", charset="UTF-8"'
            return response
        if request.method not in {"GET", "HEAD"}:
            response = _plain(405, "This page is for looking; it answers GET only.")
            response.headers["Allow"] = "GET, HEAD"
            return response
        response = await answer(request)
        for name, value in {"Content-Security-Policy": OWN_PAGES, **HEADERS}.items():
            response.headers.setdefault(name, value)
        return response

    async def shown(render: Render) -> Response:
        text = await asyncio.to_thread(lambda: render(reader.view()))
        return Response(text, media_type="text/html; charset=utf-8")

    async def page(_: "Request") -> Response:
        return await shown(live_page)

    async def part(request: "Request") -> Response:
        name = request.path_params["name"]
        if name not in PARTS:
            return _plain(404, "There is no such part.")
        return await shown(lambda view: live_part(view, name))

    async def night(request: "Request") -> Response:
        return _report_file(reader, request.path_params["run_id"], request.path_params.get("name") or "index.html")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/parts/{name}", part),
            Route("/static/{name}", _static),
            Route("/nights/{run_id}/", night),
            Route("/nights/{run_id}/{name}", night),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard)],
    )


def server_config(reader: WorkdirReader, access: Access) -> "Config":
    """How the application is served: no more than needed is said, and no client is waited for without a limit."""
    import uvicorn

    from huracan.adapters.dashboard.patience import PatientProtocol

    return uvicorn.Config(
        dashboard_app(reader, access),
        ssl_certfile=access.tls_cert,
        ssl_keyfile=access.tls_key,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        http=PatientProtocol,
        timeout_keep_alive=30,
        limit_concurrency=MOST_CONNECTIONS,
    )


def serve_dashboard(reader: WorkdirReader, access: Access, *, started: Callable[[str], None]) -> None:
    """Serve until interrupted; `started` gets the URL once the socket listens. Raises ConfigError where it cannot
    bind.
    """
    import uvicorn

    config = server_config(reader, access)
    with listening(access) as listener:
        scheme = "https" if access.tls_cert else "http"
        host = access.host.strip("[]")
        started(f"{scheme}://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[listener])


def listening(access: Access) -> socket.socket:
    """A socket that listens already, so a client that reads its address is never refused; ConfigError where it cannot
    be bound.
    """
    host = access.host.strip("[]")
    try:
        return socket.create_server(
            (host, access.port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
    except OSError as error:
        raise ConfigError(
            f"{host} port {access.port} cannot be bound ({error.strerror}); another process has it, or the address is not"
            " this machine's. Give another --port (0: any free one)."
        ) from error


async def _static(request: "Request") -> "Response":
    from starlette.responses import Response

    name = request.path_params["name"]
    if name == "live.css":
        return Response(style_sheets(), media_type="text/css")
    if name != "htmx.min.js":
        return _plain(404, "There is no such file.")
    data = files("huracan.adapters.dashboard").joinpath("static", name).read_bytes()
    return Response(data, media_type="text/javascript", headers={"Cache-Control": "max-age=3600"})


def _report_file(reader: WorkdirReader, run_id: str, name: str) -> "Response":
    from starlette.responses import FileResponse

    file = reader.report_file(run_id, name)
    if file is None:
        return _plain(404, "There is no report of that night.")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    # Inside its sandbox the page has no origin of its own, so its script must be allowed to every origin.
    headers = {"Content-Security-Policy": REPORT_PAGES, "Cross-Origin-Resource-Policy": "cross-origin"}
    return FileResponse(file, media_type=kind, headers=headers)


def _plain(status: int, text: str) -> "Response":
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(text + "\n", status, headers={"Content-Security-Policy": OWN_PAGES, **HEADERS})
