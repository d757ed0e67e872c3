"""Forwards connections, as a tunnel does: arguments are the host and port to listen on, then those to connect to."""

import asyncio
import contextlib
import sys


async def relay(host: str, port: int, to_host: str, to_port: int) -> None:
    """Forward until cancelled."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there = await asyncio.open_connection(to_host, to_port)
            await asyncio.gather(_pour(reader, there[1]), _pour(there[0], writer))

    server = await asyncio.start_server(forward, host, port)
    await server.serve_forever()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(relay(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
