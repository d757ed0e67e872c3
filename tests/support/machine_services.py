"""What one machine serves the others: argument 1 is JSON; prints one line of JSON, serves until stdin ends.

A replay exchange (on loopback, and by a relay on `host`) and an S3 server on `host` behind TLS, with one bucket; who asked
that for what is written to the file `requests`, a line each.
"""

import asyncio
import json
import logging
import ssl
import sys
import threading
import urllib.request
from pathlib import Path

from moto.server import DomainDispatcherApplication, create_backend_app
from nights import small_world
from relay import relay
from werkzeug.serving import make_server

from huracan.worlds.exchange import ReplayExchange


def s3_over_tls(host: str, certificate: str, authority: str, requests: Path, bucket: str) -> str:
    """Its URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    log = requests.open("w", buffering=1)

    def noted(environ, start_response):
        log.write(f"{environ['REMOTE_ADDR']} {environ['REQUEST_METHOD']} {environ['PATH_INFO']}\n")
        return application(environ, start_response)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = make_server(host, 0, noted, threaded=True, ssl_context=context)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://{host}:{server.server_port}"
    asked = urllib.request.Request(f"{url}/{bucket}", method="PUT")
    urllib.request.urlopen(asked, timeout=10, context=ssl.create_default_context(cafile=authority)).read()
    return url


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    s3 = s3_over_tls(**wanted["s3"], host=wanted["host"], requests=Path(wanted["requests"]))
    with ReplayExchange(small_world(**wanted["world"]), stress_file=Path(wanted["stress"])) as exchange:
        tunnel = relay(wanted["host"], exchange.port, "127.0.0.1", exchange.port)
        threading.Thread(target=asyncio.run, args=(tunnel,), daemon=True).start()
        print(json.dumps({"urls": exchange.urls, "s3": s3, "port": exchange.port}), flush=True)
        sys.stdin.read()
