"""A real WebDAV server for a directory, with a user, on a port of its own, which it prints. Ends when its standard input
does.

Usage: webdav_server.py DIRECTORY
"""

import logging
import os
import sys
import threading

from cheroot import wsgi
from wsgidav.wsgidav_app import WsgiDAVApp

logging.disable(logging.CRITICAL)
app = WsgiDAVApp(
    {
        "host": "127.0.0.1",
        "port": 0,
        "provider_mapping": {"/": sys.argv[1]},
        "simple_dc": {"user_mapping": {"*": {"rocketchat": {"password": "geheim"}}}},
        "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
        "verbose": 0,
        "logging": {"enable": False, "enable_loggers": []},
        "property_manager": True,
        "lock_storage": True,
    }
)
server = wsgi.Server(("127.0.0.1", 0), app)
server.prepare()
print(server.bind_addr[1], flush=True)
threading.Thread(target=server.serve, daemon=True).start()
sys.stdin.read()
# Its threads would go on.
os._exit(0)
