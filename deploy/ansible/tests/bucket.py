"""A bucket laid out like AMPLab's, in moto's S3, at an address of this machine; readable without an account, as theirs is."""

import socket
import subprocess
import time
import urllib.request
from pathlib import Path

STAND_IN = Path(__file__).resolve().parent / "stand_in.py"
NAME = "big-data-benchmark"


class Bucket:
    """Runs as long as the `with` block; what is in it lies in memory."""

    def __init__(self, python, address, log):
        self.command = [python, STAND_IN]
        self.address = address
        self.log = log
        self.server = None
        self.endpoint = None

    def __enter__(self):
        with socket.socket() as probe:
            probe.bind((self.address, 0))
            port = probe.getsockname()[1]
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen([*self.command, str(port), self.address], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex((self.address, port)):
            if time.monotonic() > deadline or self.server.poll() is not None:
                self.__exit__()
                raise RuntimeError(f"the stand-in for S3 does not start: {self.log.read_text(errors='replace')}")
            time.sleep(0.1)
        self.endpoint = f"http://{self.address}:{port}/{NAME}"
        self.put("", b"")
        return self

    def __exit__(self, *_):
        self.server.terminate()
        self.server.wait()

    def put(self, key, body):
        """Makes an object, or the bucket itself."""
        request = urllib.request.Request(f"{self.endpoint}/{key}".rstrip("/"), data=body, method="PUT",
                                         headers={"Content-Type": "application/octet-stream", "x-amz-acl": "public-read"})
        # The bucket is nearer than any proxy.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            answer.read()

    def fill(self, tables, sets):
        """Puts the tables of a folder there, under each of the names that the published sets have."""
        for path in sorted(tables.glob("*/*")):
            for name in sets:
                self.put(f"pavlo/text/{name}/{path.parent.name}/{path.name}", path.read_bytes())
        for name in sets:
            # As there is one beside AMPLab's: no data.
            self.put(f"pavlo/text/{name}/uservisits/_SUCCESS", b"")
