"""Asks the service in this container how it is: `python -I -S probe.py /readyz`. Exit status 0 for an answer 200.

By hand over a socket and without other imports: it runs every few seconds, beside the service.
"""

import os
import socket
import sys

LIMIT_S = 2.5


def main() -> int:
    path, port = sys.argv[1], int(os.environ["HTTP_PORT"])
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while part := connection.recv(65_536):
                answer += part
    except OSError as error:
        print(f"{path}: {error}")
        return 1
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    print(f"{path}: {b''.join(status).decode()} {body.decode(errors='replace')}")
    return 0 if status == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main())
