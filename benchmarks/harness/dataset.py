"""The input: made once by Millrace's own `generate`, kept, and brought into the page cache before a block."""

import shutil
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
    """The set of `rows` rows: generated unless a finished one is there."""
    dataset = Dataset(directory, f"rows-{rows}")
    done = directory / "csv" / dataset.set_name / "_GENERATED"
    if not done.exists():
        shutil.rmtree(done.parent, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
        program = verb("millrace", "install", "--which", "generate")
        command = [program, *generate_arguments(directory, dataset.set_name, rows, files)]
        if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode != 0:
            raise Failure("generate failed")
        done.write_text(f"{rows} rows in {files} files, made by Millrace's generate\n")
    return dataset


def generate_arguments(directory, set_name, rows, files):
    """What `generate` is called with: only the table that Query 2 reads."""
    return ["--rows", str(rows), "--files", str(files), "--data", str(directory), "--set", set_name,
            "--table", "uservisits"]


def warm(dataset):
    """Reads every file once, so that no engine pays for the disk; returns (bytes, rows)."""
    size, rows = 0, 0
    for path in dataset.files():
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(READ_BYTES):
                size += len(chunk)
                rows += chunk.count(b"\n")
    return size, rows
