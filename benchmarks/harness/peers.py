"""Speaks with an engine's three verbs: `install`, `load` and `query` under benchmarks/peers/<engine>/.

The contract is in benchmarks/README.md. Whatever goes wrong inside a peer becomes a `Failure` with one
line of reason, so that a run records it and goes on.
"""

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from harness.options import PEERS_DIRECTORY, ROOT

# What an engine may still do after its answer, such as to give memory back, before it is stopped until its next run.
SETTLE_SECONDS = 0.5


# Addresses of hosts, as the message of a cluster has them; loopback is the same everywhere.
ADDRESS = re.compile(r"\b(?!127\.|0\.0\.0\.0\b)\d{1,3}(?:\.\d{1,3}){3}\b")


class Failure(Exception):
    """A peer did not do its work; the message is one line, without paths, name and addresses of this machine."""

    def __init__(self, reason):
        super().__init__(nowhere(neutral(" ".join(str(reason).split())))[:500])


def nowhere(text):
    """Text without what this machine is called in its network."""
    name = socket.gethostname()
    if name and name != "localhost":
        text = re.sub(rf"\b{re.escape(name)}\b", "HOST", text)
    return ADDRESS.sub("HOST", text)


def neutral(text):
    """Text without the places where this checkout and temporary files lie."""
    return text.replace(str(ROOT), ".").replace(tempfile.gettempdir(), "TMP").replace(str(Path.home()), "~")


def verb(engine, name, *arguments):
    """Runs `install` or `load` to its end; returns the last line it printed."""
    script = PEERS_DIRECTORY / engine / name
    try:
        done = subprocess.run([script, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
    except OSError as error:
        raise Failure(f"{engine}/{name} cannot be run: {error}") from error
    if done.returncode != 0:
        raise Failure(" ".join([f"{engine}/{name} ended with exit code {done.returncode}", *done.stdout.splitlines()[-1:]]))
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines else ""


def figure(result, key, above=None):
    """A number that a peer may give: None, or finite and not negative; with `above`, it must be there, and greater than that."""
    value = result.get(key)
    if value is None and above is None:
        return None
    # True is an int, and an int may be greater than any float.
    if type(value) not in (int, float) or not 0 <= value <= sys.float_info.max or above is not None and value <= above:
        raise ValueError(f"{key} is {value!r}")
    return value


class Session:
    """A started `query` verb: one engine, one query, one setting, run as often as asked.

    Started on first use and again after a failure, so that one bad round does not cost the others.

    Between its runs a session is stopped with all that it started: a virtual machine that collects or compiles while it waits
    for its turn takes processor time from the engine whose turn it is, and most from the shortest queries.
    """

    def __init__(self, engine, arguments, timeout_seconds, settle_seconds=SETTLE_SECONDS):
        self.command = [str(PEERS_DIRECTORY / engine / "query"), *arguments]
        self.engine = engine
        self.timeout_seconds = timeout_seconds
        self.settle_seconds = settle_seconds
        self.process = None
        self.room = None
        self.startup_seconds = None

    def run(self):
        """One run of the query: the peer's result, or Failure."""
        if self.process is None:
            self._start()
        signal_group(self.process, signal.SIGCONT)
        self._send("run")
        result = self._receive()
        time.sleep(self.settle_seconds)
        signal_group(self.process, signal.SIGSTOP)
        if result.get("failure"):
            raise Failure(result["failure"])
        return result

    def close(self, grace_seconds=10):
        """Ends the peer and all it started; it has a moment to do so itself."""
        if self.process is None:
            return
        process, self.process = self.process, None
        # Only one that runs can end itself.
        signal_group(process, signal.SIGCONT)
        try:
            process.stdin.close()
            process.wait(timeout=grace_seconds)
        except (OSError, subprocess.TimeoutExpired):
            pass
        signal_group(process, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        self.errors.close()
        self.room.cleanup()

    def _start(self):
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        # What it spills goes with it: what a killed Spark left behind once filled the disk, hours into a run.
        self.room = tempfile.TemporaryDirectory(prefix="millrace-peer-", ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            text=True, errors="replace", cwd=ROOT, start_new_session=True, env={**os.environ, "TMPDIR": self.room.name},
        )
        self.lines = queue.Queue()
        threading.Thread(target=_forward, args=(self.process.stdout, self.lines), daemon=True).start()
        try:
            self.startup_seconds = figure(self._receive(), "startup_seconds")
        except ValueError as error:
            self._fail(f"gave a start that cannot be read: {error}")

    def _send(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except OSError:
            self._fail("ended before its work")

    def _receive(self):
        try:
            line = self.lines.get(timeout=self.timeout_seconds)
        except queue.Empty:
            self._fail(f"gave no result within {self.timeout_seconds:.0f} s")
        if line is None:
            self._fail("ended before its work")
        try:
            result = json.loads(line)
        except (ValueError, RecursionError):
            self._fail(f"printed no JSON: {line[:200]}")
        if not isinstance(result, dict):
            self._fail(f"printed no JSON object: {line[:200]}")
        return result

    def _fail(self, what):
        self.errors.seek(0)
        said = " / ".join(self.errors.read().strip().splitlines()[-3:])
        self.close(grace_seconds=0)
        raise Failure(f"{self.engine} {what}" + (f": {said}" if said else ""))


def signal_group(process, number):
    """Sends a signal to a peer and to what it started: it leads a process group of its own."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass  # All of it has ended.


def _forward(stream, lines):
    """Hands lines over to a queue, which unlike a pipe can be waited for with a limit; None is the end."""
    try:
        for line in stream:
            lines.put(line)
    except ValueError:
        pass  # Closed under the reader: the session is over.
    lines.put(None)
