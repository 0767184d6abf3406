"""moto's server on a free port; ends with its stdin, however the test that started it dies."""

import logging
import os
import sys

from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
print(f"listening http://{host}:{port}", flush=True)
while os.read(sys.stdin.fileno(), 4096):
    pass
os._exit(0)
