"""A server that speaks MongoDB's protocol, for the tests.

    python mongo_server.py DIRECTORY [--port PORT] [--standalone]

Listens on 127.0.0.1, prints its port, and ends when its standard input ends: whoever started it may be killed.
A line on the standard input asks for access control from then on: users that were made before can log in, which they
cannot when the server is started anew, and nobody else may do anything.
"""

import argparse
import os
import socket
import sys
import threading

from secantus.server import SecantusDBServer


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--port", type=int)
    parser.add_argument("--standalone", action="store_true")
    options = parser.parse_args()
    port = options.port or free_port()
    server = SecantusDBServer(
        host="127.0.0.1",
        port=port,
        storage_path=options.directory,
        replica_set_name=None if options.standalone else "secantus",
        enable_test_commands=True,
    )
    server.start()
    print(port, flush=True)
    threading.Thread(target=server.wait, daemon=True).start()
    for _ in sys.stdin:
        server.require_auth = True
    # At once: what is in the storage is as durable as it would be after a crash.
    os._exit(0)


main()
