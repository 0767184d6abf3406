"""What a query costs the whole node, and what everything else that the pod sends pays for the hook.

Client and server share CPU 1, which the client keeps busy: a query's cost is the time it takes, whoever it is
charged to (both hooks run on the sender's CPU, whatever process is on it). Cases take turns; the table has medians,
and the medians of the ratios to the socket of the same round. Run by run.sh, as root."""
import os
import random
import re
import resource
import socket
import statistics
import subprocess
import sys
import time

import message as dns
from stage import NODE, Stage

CPU = 1
NAMES = 1000
LABELS = ("api", "auth", "billing", "cache", "consul", "media", "orders", "search")
BULK_PORT, CHUNK = 9000, 1 << 18


def names():
    turn = random.Random(1)
    return [f"{turn.choice(LABELS)}-{number:03x}.{turn.choice(('prod', 'eu'))}.zone.probe" for number in range(NAMES)]


def zone():
    hosts = [f"{name}. 300 A 10.0.{number >> 8}.{number & 255}" for number, name in enumerate(names())]
    return "\n".join(["zone.probe. 300 SOA ns.zone.probe. host.zone.probe. 1 3600 600 86400 60", *hosts, ""])


def process_seconds(pid):
    """CPU seconds of a process, all threads, as the scheduler counts them."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def client_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Bench:
    def __init__(self, stage, seconds, edns):
        self.stage, self.seconds, self.edns = stage, seconds, edns
        turn = random.Random(2)
        with open(f"{stage.directory}/names", "w") as file:
            file.writelines(f"{turn.choice(names())}\n" for _ in range(20000))

    def queries(self, how):
        """One run of the client: µs a query in all, of the server and of the client."""
        command = ["ip", "netns", "exec", self.stage.pod, "taskset", "-c", str(CPU), f"{self.stage.objects}/load", NODE,
                   f"{self.stage.directory}/names", str(self.seconds), how] + ["edns"] * self.edns
        server, client = process_seconds(self.stage.process.pid), client_seconds()
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        received, answered, lost, seconds = int(out[0]), int(out[1]), int(out[2]), float(out[3])
        if answered != received or lost:
            raise RuntimeError(f"{received} replies, {answered} answers, {lost} lost")
        server, client = process_seconds(self.stage.process.pid) - server, client_seconds() - client
        return {"us": seconds / received * 1e6, "server": server / received * 1e6, "client": client / received * 1e6}

    def bulk(self):
        """TCP from the pod to the node for a while: ns of the shared CPU a KiB."""
        listener = socket.create_server((NODE, BULK_PORT))
        sender = self.stage.pod_socket(socket.SOCK_STREAM)
        child = os.fork()
        if not child:
            try:
                os.sched_setaffinity(0, {CPU})
                sender.connect((NODE, BULK_PORT))
                end, block = time.monotonic() + self.seconds, bytes(CHUNK)
                while time.monotonic() < end:
                    sender.sendall(block)
            finally:
                os._exit(0)
        sender.close()
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {CPU})
        connection, start, received, buffer = listener.accept()[0], time.monotonic(), 0, bytearray(CHUNK)
        while count := connection.recv_into(buffer):
            received += count
        seconds = time.monotonic() - start
        os.sched_setaffinity(0, mine)
        os.waitpid(child, 0)
        connection.close()
        listener.close()
        return {"us": seconds / received * 1024 * 1e9}


def cases(programs):
    """(name, what is attached, whether the table is filled)"""
    yield "socket, nothing attached", None, None, False
    for hook, program in programs.items():
        yield f"{hook}: answered", program, "answer_query", True
        yield f"{hook}: passed by an empty program", program, "pass_all", False
        yield f"{hook}: passed, looked up in vain", program, "answer_query", False


def one_round(bench, programs, tables, results):
    for name, program, function, filled in cases(programs):
        if program:
            program.replace(tables[program.hook] if filled else {})
            program.attach("node0", function)
            before = program.outcomes()["answered"]
        for how in ("many", "one"):
            results.setdefault((how, name), []).append(bench.queries(how))
        if program and filled and program.outcomes()["answered"] - before < 1000:
            raise RuntimeError(f"{name}: the program answered nothing")
        if not filled:
            results.setdefault(("bulk", name), []).append(bench.bulk())
        if program:
            program.detach("node0")


def table(results, kind, unit):
    reference = [run["us"] for run in next(runs for (of, _), runs in results.items() if of == kind)]
    extra = ("server", "client") if kind != "bulk" else ()
    print(f"\n| {kind} | {unit} | of the socket's |" + "".join(f" {name} |" for name in extra))
    print("|---|---|---|" + "---|" * len(extra))
    for (of, name), runs in results.items():
        if of == kind:
            median = lambda key: statistics.median(run[key] for run in runs)
            ratio = statistics.median(run["us"] / base for run, base in zip(runs, reference))
            spread = (max(run["us"] for run in runs) - min(run["us"] for run in runs)) / median("us") * 50
            print(f"| {name} | {median('us'):.2f} ±{spread:.0f} % | {ratio:.2f} |"
                  + "".join(f" {median(key):.2f} |" for key in extra))


def main():
    rounds, seconds = int(os.environ.get("ROUNDS", 5)), float(os.environ.get("SECONDS_EACH", 0.5))
    edns = bool(os.environ.get("EDNS"))
    stage = Stage(os.environ["ZONELET"], os.environ["OBJECTS"], "zone.probe", zone())
    with open("/proc/self/autogroup", "w") as file:
        file.write("-20")
    stage.start_zonelet(CPU)
    programs = {hook: stage.load(hook) for hook in ("xdp", "tc")}
    tables = {}
    for hook, program in programs.items():
        mirror = stage.mirror(program, [(name, dns.TYPES["A"]) for name in names()], lease=1000)
        tables[hook] = mirror.learn()
        mirror.close()
        start = time.process_time()
        program.replace(tables[hook])
        print(f"{hook}: {len(tables[hook])} answers, filled in {(time.process_time() - start) * 1e3:.1f} ms of CPU")
    bench, results = Bench(stage, seconds, edns), {}
    one_round(bench, programs, tables, {})
    for number in range(rounds):
        one_round(bench, programs, tables, results)
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    stage.close()
    print(f"{time.strftime('%Y-%m-%d')}, Linux {os.uname().release}, "
          + re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())[1] + (", with EDNS" if edns else ""))
    table(results, "many", "CPU µs/query")
    table(results, "one", "CPU µs/query")
    table(results, "bulk", "CPU ns/KiB of TCP")


if __name__ == "__main__":
    main()
