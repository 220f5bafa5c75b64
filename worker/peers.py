"""Who is at the other end of a connection, as far as this machine can tell.

Where containers are processes of one machine, its other users reach every port on loopback. What
they may not do, such as break a worker, is kept from them here.
"""

import os
import socket
import struct
import sys
from pathlib import Path

TABLE = Path("/proc/net/tcp")
_ROOT = 0


def is_another_user(host: str, port: int) -> bool:
    """Tell whether a TCP peer is a process of another user of this machine.

    Args:
        host: The peer's IPv4 address.
        port: The peer's port.

    Returns:
        False if the peer is this user, root, or not of this network namespace: then there is
        nobody here to be kept out, and others' means (a NetworkPolicy) decide.

    Source:
        The columns local_address and uid of /proc/net/tcp: proc_net(5) in proc(5).
    """
    try:
        place = f"{_hexadecimal(host)}:{port:04X}"
        rows = (line.split() for line in TABLE.read_text().splitlines()[1:])
        uids = {int(row[7]) for row in rows if row[1] == place}
    except (OSError, ValueError):
        return False
    return bool(uids - {os.getuid(), _ROOT})


def _hexadecimal(host: str) -> str:
    """Write an address as the kernel does: the number in the machine's own byte order."""
    order = "<I" if sys.byteorder == "little" else ">I"
    (number,) = struct.unpack(order, socket.inet_aton(host))
    return f"{number:08X}"
