"""An S3 server (moto's) as a process: prints its URL, serves until stdin ends, so that it never outlives its parent.

A line on stdin is part of a path: the next write to such a path is answered once with a conflict, as Amazon may do.
"""

import logging
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

CONFLICT = (
    b"<Error><Code>ConditionalRequestConflict</Code><Message>A conflicting operation is under way.</Message></Error>"
)


class Conflicting:
    """The server, which refuses one write to each path that was named."""

    def __init__(self, app):
        self.app, self.named = app, []

    def __call__(self, environ, start_response):
        for part in self.named:
            if environ["REQUEST_METHOD"] == "PUT" and part in environ["PATH_INFO"]:
                self.named.remove(part)
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response("409 Conflict", [("Content-Type", "application/xml")])
                return [CONFLICT]
        return self.app(environ, start_response)


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    app = Conflicting(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    for line in sys.stdin:
        app.named.append(line.strip())
        print("ready", flush=True)
