"""No test may reach a real exchange, store or cloud, whatever it forgot to configure: sockets stay on this machine.

The socket class is patched instead of watched by an audit hook: CPython before 3.12 keeps one flag for the whole process while
a trace function is being set, audit hooks run under it, and a hook in Python may give way to another thread there. Coverage
sets a trace function in every new thread, so a thread of the code under test then died before its first line
(python/cpython#98257).
"""

import socket
from collections.abc import Callable
from typing import Any

from huracan.domain.addresses import is_loopback

AT_HOME = {"", socket.gethostname()}


def stay_at_home() -> None:
    """Refuse, from now on and in this process, to connect to another machine or to ask for its address."""
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _at_home(getattr(socket.socket, name)))
    socket.getaddrinfo = _names_of_home(socket.getaddrinfo)


def _at_home(connect: Callable[..., Any]) -> Callable[..., Any]:
    def connected(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and not is_loopback(str(address[0])):
            raise PermissionError(f"a test tried to connect to {address[0]}")
        return connect(self, address)

    return connected


def _names_of_home(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def resolved(host: str | bytes | None, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host or ""
        if name not in AT_HOME and not is_loopback(name):
            raise PermissionError(f"a test asked for the address of {name}")
        return resolve(host, *arguments, **options)

    return resolved
