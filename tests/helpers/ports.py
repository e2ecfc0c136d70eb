"""Ports for programs that want one given."""

import socket
from contextlib import ExitStack


def free_ports(number: int) -> list[int]:
    """Different ports of loopback that nothing listens at."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)
        ]
        return [int(each.getsockname()[1]) for each in sockets]
