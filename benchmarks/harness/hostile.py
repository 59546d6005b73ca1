"""Two processes of one query on loopback, with and without strangers at the port where the first waits for the second.

tests/it/hostile.rs has the same in network namespaces, with whole handshakes recorded and replayed; it looks at answers, this at time.
"""

import contextlib
import os
import random
import socket
import subprocess
import threading
import time
from pathlib import Path

from harness.memory import touch
from harness.peers import Failure

CONNECTIONS = 1000
# Of them come before the second process does, the rest while it is there. The port is closed once both are connected.
BEFORE = 900
# Senders of one byte a second, which stay for the whole run.
DRIPPING = 50
ATTACKERS = 8
# How long a stranger waits for an answer, and how long after it was refused it tries again.
PATIENCE_SECONDS = 0.02
REFUSED_SECONDS = 0.05
# The first process waits as long without strangers: a second that comes at once would find it at another point.
LEAST_WAIT_SECONDS = 1.0
GREETING_BYTES = 72


class Pair:
    """Where two processes find each other, and how they are started."""

    def __init__(self, query, scratch):
        self.query = query
        self.scratch = Path(scratch)
        secret = self.scratch / "secret"
        secret.write_text("correct horse battery staple")
        secret.chmod(0o600)
        self.greeting = self.record()

    def hosts(self):
        """Two free addresses in a host file; the first of them."""
        with contextlib.ExitStack() as held:
            sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
            addresses = [each.getsockname() for each in sockets]
        (self.scratch / "hosts").write_text("".join(f"{host}:{port}\n" for host, port in addresses))
        return addresses[0]

    def start(self, index):
        """A process of the pair."""
        command = [*self.query, "-w", "1", "-h", self.scratch / "hosts", "-p", str(index), "--secret-file", self.scratch / "secret"]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def record(self):
        """What the second process says first to the first one."""
        address = self.hosts()
        with socket.create_server(address) as listener:
            listener.settimeout(10)
            second = self.start(1)
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    greeting = connection.recv(GREETING_BYTES, socket.MSG_WAITALL)
            except OSError as error:
                raise Failure(f"the second process did not come: {error}") from error
            finally:
                second.kill()
                second.communicate()
        if len(greeting) != GREETING_BYTES:
            raise Failure(f"a greeting has {len(greeting)} bytes, not {GREETING_BYTES}")
        return greeting

    def run(self, hostile, warm_bytes):
        """What the first process printed, and figures: `seconds` from the start of the second process to the end of the first, connections made, memory touched."""
        address = self.hosts()
        first = self.start(0)
        second, attack = None, Attack(address, self.greeting)
        try:
            wait_for(address)
            if hostile:
                attack.begin()
            time.sleep(LEAST_WAIT_SECONDS)
            while hostile and attack.made < BEFORE:
                time.sleep(0.005)
            touched = touch(warm_bytes)
            begin = time.perf_counter()
            second = self.start(1)
            told, said = first.communicate(timeout=120)
            seconds = time.perf_counter() - begin
            _, second_said = second.communicate(timeout=120)
        except subprocess.TimeoutExpired as error:
            raise Failure("a pair of processes did not end") from error
        finally:
            for process in filter(None, (first, second)):
                process.kill()
            # Those that the run was too short for; they are refused.
            while hostile and attack.made < CONNECTIONS and attack.alive():
                time.sleep(0.005)
            attack.end()
        if first.returncode or second.returncode:
            raise Failure(f"a process of a pair failed: {said or second_said}")
        return told, {"seconds": seconds, "connections": attack.made, "touched_bytes": touched}


def wait_for(address):
    """Until somebody listens."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
            return
        time.sleep(0.005)
    raise Failure("the first process does not listen")


class Attack:
    """Strangers that come one after the other, some at a time, until they are told to stop."""

    def __init__(self, address, greeting):
        self.address = address
        self.greeting = greeting
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.made = 0
        self.threads = []

    def begin(self):
        """The drippers are there before the others begin."""
        works = [self.drip, *([self.pester] * ATTACKERS)]
        self.threads = [threading.Thread(target=work, args=(number,), daemon=True) for number, work in enumerate(works)]
        for thread in self.threads:
            thread.start()

    def alive(self):
        """Whether anybody is still at it."""
        return any(thread.is_alive() for thread in self.threads)

    def end(self):
        """Everybody leaves."""
        self.over.set()
        for thread in self.threads:
            thread.join()

    def count(self):
        with self.lock:
            self.made += 1

    def pester(self, seed):
        """Random bytes, a real greeting cut off, and a whole one with a proof of another secret."""
        chance = random.Random(seed)
        while not self.over.is_set():
            said = (os.urandom(500), self.greeting[:chance.randrange(GREETING_BYTES)], self.greeting + os.urandom(32))[chance.randrange(3)]
            try:
                with socket.create_connection(self.address, timeout=1) as connection:
                    self.count()
                    connection.settimeout(PATIENCE_SECONDS)
                    connection.sendall(said)
                    while connection.recv(4096):
                        pass
            except ConnectionRefusedError:
                self.count()
                self.over.wait(REFUSED_SECONDS)
            except OSError:
                pass  # Sent away, or left waiting: what strangers are to expect.

    def drip(self, _):
        """Connections that send one byte a second each."""
        with contextlib.ExitStack() as held:
            drips = []
            for _ in range(DRIPPING):
                with contextlib.suppress(OSError):
                    drips.append(held.enter_context(socket.create_connection(self.address, timeout=1)))
                    self.count()
            for byte in self.greeting:
                for connection in drips:
                    with contextlib.suppress(OSError):
                        connection.send(bytes([byte]))
                if self.over.wait(1):
                    return
