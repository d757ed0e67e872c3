"""Which hosts nobody but this machine can reach: one answer for every server, scheduler and exchange."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether nothing but this machine can reach an address of this name.

    >>> is_loopback("127.0.0.2"), is_loopback("[::1]"), is_loopback("0.0.0.0"), is_loopback("db.internal")
    (True, True, False, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
