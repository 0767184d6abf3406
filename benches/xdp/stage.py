"""Two network namespaces joined by a veth pair, a pod's and a node's, and a zonelet in the node's.

Everything made here is taken away by close(), which an exit for whatever reason calls too."""
import atexit
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import bpf
import message as dns
from mirror import Mirror, Settings

NODE, OTHER, POD = "10.99.0.1", "10.99.0.3", "10.99.0.2"
METRICS = "http://127.0.0.1:9253/metrics"
UPSTREAM = ("127.0.0.1", 5399)
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)

CONFIG = """[server]
listen = ["{address}:53"]
workers = 1
[admin]
listen = "127.0.0.1:9253"
socket = "{directory}/admin.sock"
[[source]]
kind = "file"
path = "{directory}/zone"
zone = "{origin}"
[[forward]]
domain = "."
upstreams = ["{upstream}"]
[drain]
delay = "0s"
[log]
level = "warn"
"""


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def enter(name):
    """Moves the calling thread into a named namespace; sockets and processes made from then on are there."""
    with open(f"/run/netns/{name}") as namespace:
        if LIBC.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"enter {name}")


class Stage:
    """The calling thread is in the node's namespace from construction to close()."""

    def __init__(self, zonelet, objects, origin, zone):
        self.zonelet, self.objects, self.origin = zonelet, objects, origin
        self.node, self.pod = f"xdpnode{os.getpid()}", f"xdppod{os.getpid()}"
        self.directory = tempfile.mkdtemp(prefix="xdp-probe")
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.process = self.upstream = None
        self.programs = {}
        atexit.register(self.close)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self._link()
        enter(self.node)
        self.write_zone(zone)

    def _link(self):
        for name in (self.node, self.pod):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", "node0", "netns", self.node, "type", "veth", "peer", "name", "pod0", "netns", self.pod)
        for name, device, addresses in ((self.node, "node0", (NODE, OTHER)), (self.pod, "pod0", (POD,))):
            for address in addresses:
                run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", device)
            run("ip", "-n", name, "link", "set", device, "up")

    def write_zone(self, text):
        """Replaces the zone file at once, as an editor or a mounted volume does."""
        with open(f"{self.directory}/zone.new", "w") as file:
            file.write(text)
        os.rename(f"{self.directory}/zone.new", f"{self.directory}/zone")

    def start_zonelet(self, cpu=None):
        config = f"{self.directory}/config.toml"
        with open(config, "w") as file:
            file.write(CONFIG.format(address=NODE, directory=self.directory, origin=self.origin,
                                     upstream="%s:%d" % UPSTREAM))
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        self.process = subprocess.Popen([*pin, self.zonelet, "--config", config], stdin=subprocess.DEVNULL)
        for _ in range(100):
            try:
                if self.ask_socket(dns.query(self.origin, dns.TYPES["SOA"])):
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError("zonelet did not answer")

    def start_upstream(self, ttl):
        """An upstream that has 192.0.2.7 for every name."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(UPSTREAM)
        self.upstream = sock

        def serve():
            while True:
                query, client = sock.recvfrom(4096)
                if not query:
                    return
                end = dns.skip_name(query, 12) + 4
                record = b"\xc0\x0c\0\1\0\1" + ttl.to_bytes(4, "big") + b"\0\4\xc0\0\2\7"
                sock.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] + record, client)

        threading.Thread(target=serve, daemon=True).start()

    def refresh(self):
        """Has zonelet read the zone file now."""
        subprocess.run([self.zonelet, "--config", f"{self.directory}/config.toml", "refresh"], check=True,
                       stdout=subprocess.DEVNULL)

    def pod_socket(self, kind=socket.SOCK_DGRAM, family=socket.AF_INET, protocol=0):
        """A socket in the pod's namespace."""
        enter(self.pod)
        try:
            return socket.socket(family, kind, protocol)
        finally:
            enter(self.node)

    def ask_socket(self, query):
        """The socket's answer, asked for in the node's namespace, where there is no program on the way."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            return exchange(sock, query)

    def ask_pod(self, query):
        """The answer that a pod gets."""
        with self.pod_socket() as sock:
            return exchange(sock, query)

    def load(self, hook):
        """Loads the programs of a hook; nothing is attached yet."""
        self.programs[hook] = bpf.Program(hook, f"{self.objects}/answer.{hook}.o", NODE, 53)
        return self.programs[hook]

    def mirror(self, program, questions, **settings):
        return Mirror(program, questions, Settings(NODE, 53, METRICS, **settings))

    def stop_zonelet(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def close(self):
        atexit.unregister(self.close)
        self.stop_zonelet()
        if self.upstream:
            try:
                # It is not connected, and says so; the thread that reads it wakes all the same.
                self.upstream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.upstream.close()
        for program in self.programs.values():
            program.close()
        LIBC.setns(self.home, CLONE_NEWNET)
        # The interfaces go with the namespaces, and the programs with the interfaces.
        for name in (self.node, self.pod):
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.directory, ignore_errors=True)


def exchange(sock, query, address=NODE, port=53, timeout=0.5):
    """Sends a query; the reply, or None when there is none."""
    sock.settimeout(timeout)
    sock.sendto(query, (address, port))
    try:
        while True:
            reply = sock.recv(4096)
            if reply[:2] == query[:2]:
                return reply
    except (TimeoutError, ConnectionRefusedError):
        return None
