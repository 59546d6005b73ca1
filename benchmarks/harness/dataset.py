"""The input: made once by Millrace's own `generate`, kept, and brought into the page cache before a block."""

import itertools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.options import EXAMPLE_ROWS, ROOT
from harness.peers import Failure, verb
from peers.examples import EXAMPLES

READ_BYTES = 1 << 20
FILES = 16
TABLES = ("rankings", "uservisits")
# Kept as text alone, which is what others read of it.
CRAWL = "documents"


@dataclass(frozen=True)
class Dataset:
    """One generated set: `directory`/FORMAT/`set_name`, with rankings and uservisits unless it has other tables."""

    directory: Path
    set_name: str
    tables: tuple = TABLES

    @property
    def table(self):
        """Folder of the CSV files of uservisits."""
        return self.folder("uservisits")

    def folder(self, table, form="csv"):
        """Folder of the files of any table in any format."""
        return self.directory / form / self.set_name / table

    def files(self, table="uservisits", form="csv"):
        """The files of a table, sorted."""
        return sorted(path for path in self.folder(table, form).iterdir() if path.name[0] not in "_.")


def prepare(directory, rows, files=FILES, formats=("csv",), crawl=False):
    """The set of `rows` visits, 12 rankings for 100 of them, and with `crawl` 2 pages: generated unless it is there, as each table is only
    when it is whole.

    Formats other than CSV are made from it, but for the crawl.
    """
    dataset = Dataset(directory, f"rows-{rows}", (*TABLES, CRAWL) if crawl else TABLES)
    where = ["--data", str(directory), "--no-progress"]
    missing = [table for table in dataset.tables if not dataset.folder(table).exists()]
    if missing:
        run_program("generate", "--rows", str(rows), "--files", str(files), *(f"--table={table}" for table in missing),
                    "--name", dataset.set_name, *where)
    return in_formats(dataset, formats)


def prepare_examples(directory, origin, rows):
    """The tables that examples of one origin read: their own with so many lines, or those of TPC-H with so many orders."""
    tables = tuple(dict.fromkeys(table for example in EXAMPLES.values() if example.origin == origin for table in example.tables))
    dataset = Dataset(directory, f"{origin}-{rows}", tables)
    target = directory / "csv" / dataset.set_name
    if not target.exists():
        building = target.with_name(f"{target.name}.tmp")
        shutil.rmtree(building, ignore_errors=True)
        size = ["--make", building, "--rows", str(rows)] if origin == "made" else ["--make-tpch", building, "--scale", str(rows / EXAMPLE_ROWS)]
        if subprocess.run([ROOT / "scripts" / "check-examples", *size], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode != 0:
            raise Failure(f"the tables of {dataset.set_name} could not be made")
        building.rename(target)
    return dataset


def in_formats(dataset, formats, tables=TABLES):
    """The same set, with these tables in these formats too."""
    for form, table in itertools.product(formats, tables):
        if not dataset.folder(table, form).exists():
            run_program("pack", "--to", form, "--format", "csv", "--table", table, "--set", dataset.set_name,
                        "--data", str(dataset.directory), "--no-progress")
    return dataset


def run_program(name, *arguments):
    """One of Millrace's own programs, to its end."""
    command = [verb("millrace", "install", "--which", name), *arguments]
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode != 0:
        raise Failure(f"{name} failed")


def recut(source, name, weights, quoted=False):
    """The rows of `source` in files whose sizes are to each other as `weights`, under another name.

    With `quoted`, the first address of each file stands in quotes, which changes no answer: Millrace does not cut such files.
    """
    target = Dataset(source.directory, f"{source.set_name}-{name}")
    if target.table.exists():
        return target
    building = target.table.with_name("uservisits.tmp")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    total = sum(path.stat().st_size for path in source.files())
    lines = lines_of(source.files())
    done = 0
    for index, end in enumerate(itertools.accumulate(weights)):
        limit = total if index == len(weights) - 1 else total * end // sum(weights)
        with open(building / f"part-{index:05}", "wb") as part:
            first = quoted
            while done < limit and (line := next(lines, None)):
                done += len(line)
                if first:
                    line = b'"' + line.replace(b",", b'",', 1)
                    first = False
                part.write(line)
    building.rename(target.table)
    return target


def lines_of(paths):
    """The lines of all these files."""
    for path in paths:
        with open(path, "rb") as file:
            yield from file


def cool(dataset):
    """Drops every file of the set from the page cache, in whatever format, so that the next reader waits for the disk."""
    places = [*dataset.directory.glob(f"*/{dataset.set_name}"), *dataset.directory.glob(f"*/{dataset.set_name}.*")]
    for place in places:
        for path in [place] if place.is_file() else place.rglob("*"):
            if path.is_file():
                with open(path, "rb") as file:
                    # What has not reached the disk yet would stay.
                    os.fsync(file.fileno())
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def warm(dataset, table="uservisits", form="csv"):
    """Reads every file of a table once, so that no engine pays for the disk; returns (bytes, line ends)."""
    size, lines = 0, 0
    for path in dataset.files(table, form):
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(READ_BYTES):
                size += len(chunk)
                lines += chunk.count(b"\n")
    return size, lines
