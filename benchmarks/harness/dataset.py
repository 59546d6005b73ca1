"""The input: made once by Millrace's own `generate`, kept, and brought into the page cache before a block."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.peers import Failure, verb

READ_BYTES = 1 << 20
FILES = 16


@dataclass(frozen=True)
class Dataset:
    """One generated set: `directory`/csv/`set_name`/uservisits."""

    directory: Path
    set_name: str

    @property
    def table(self):
        """Folder of the CSV files of uservisits."""
        return self.directory / "csv" / self.set_name / "uservisits"

    def files(self):
        """Its files, sorted."""
        return sorted(path for path in self.table.iterdir() if path.name[0] not in "_.")


def prepare(directory, rows, files=FILES):
    """The set of `rows` rows: generated unless it is there, which it is only when it is whole."""
    dataset = Dataset(directory, f"rows-{rows}")
    if not dataset.table.exists():
        command = [verb("millrace", "install", "--which", "generate"), "--rows", str(rows), "--files", str(files),
                   "--table", "uservisits", "--data", str(directory), "--name", dataset.set_name, "--no-progress"]
        if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode != 0:
            raise Failure("generate failed")
    return dataset


def warm(dataset):
    """Reads every file once, so that no engine pays for the disk; returns (bytes, rows)."""
    size, rows = 0, 0
    for path in dataset.files():
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(READ_BYTES):
                size += len(chunk)
                rows += chunk.count(b"\n")
    return size, rows
