"""A process that stands still (SIGSTOP), and the broker that gives it up."""

import os
from pathlib import Path
from typing import Final

from tests.servers.rabbitmq import SharedRabbit

CLOSE: Final = """
Known = rabbit_networking:connection_info_all([pid, peer_port]),
Theirs = [Pid || [{pid, Pid}, {peer_port, Port}] <- Known, lists:member(Port, [%s])],
[rabbit_networking:close_connection(Pid, "given up by a test") || Pid <- Theirs],
length(Theirs).
"""


def stands_still(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def disconnect(rabbit: SharedRabbit, pid: int) -> None:
    """Ends the process's connections, as RabbitMQ does with silent ones. It knows its peers by their ports, the kernel the process's."""
    ports = ",".join(str(port) for port in sorted(_local_ports(pid)))
    closed = rabbit.ctl("eval", CLOSE % ports)
    if closed.strip() == "0":
        raise AssertionError(f"RabbitMQ knows no connection of process {pid}")


def _local_ports(pid: int) -> set[int]:
    inodes = {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}
    sockets = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(each[1].rpartition(":")[2], 16) for each in sockets if f"socket:[{each[9]}]" in inodes}
