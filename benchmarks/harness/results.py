"""The file results.jsonl of a run: a line for every single run of a case, written as soon as it is made."""

import json
import os

FILE = "results.jsonl"
# Written when all is measured, README.md last: a folder that lacks it is of a run that was cut off.
AT_THE_END = ("summary.md", "README.md")


def read(path):
    """(rows, whether the last line was cut off, as a killed machine leaves it, and is left out); ValueError where another line is no JSON."""
    *whole, last = path.read_text(encoding="utf-8").split("\n")
    rows = []
    for number, line in enumerate(whole, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: this is no JSON: {error}") from error
    try:
        rows += [json.loads(last)] if last else []
    except ValueError:
        return rows, True
    return rows, False


class Results:
    """Appends rows to the file of a run. The folder is made with the first row, so a run that measured nothing leaves none."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = []
        self.file = None

    def keep(self, row):
        """Adds a row, on disk before the next case is run."""
        if self.file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Of an earlier run in the same folder they would tell that this one came to its end.
            for name in AT_THE_END:
                (self.folder / name).unlink(missing_ok=True)
            self.file = open(self.folder / FILE, "w", encoding="utf-8")
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.rows.append(row)

    def close(self):
        """Closes the file; nothing is written here that was not before."""
        if self.file is not None:
            self.file.close()
