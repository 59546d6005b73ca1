"""The queries on Millrace: every run is a whole program, timed from its start to its exit."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import queries  # noqa: E402
from examples import EXAMPLES  # noqa: E402
from session import serve  # noqa: E402


def start(options):
    """The command to run; nothing stays alive between runs."""
    example = options.query in EXAMPLES
    which = [HERE / "install", "--which", f"examples/{options.query}" if example else f"query{options.query[0]}"]
    program = subprocess.run(which, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    command = [program, "--data", str(options.data), "--set", options.set, "--format", options.format,
               *queries.flags(options.query), *([] if example else ["--top", str(options.top)]), "-w", str(options.workers),
               "--json", "--no-progress"]
    if options.processes > 1:
        command += ["-n", str(options.processes)]
    command += options.flags
    if options.write:
        # None of the other engines waits for the disk.
        command += ["--output", str(options.write), "--no-sync"]
    if options.memory_bytes:
        command += ["--memory", f"{options.memory_bytes}B", "--spill-dir", str(options.spill)]
    return command


def run(command, options):
    """One run: wall time of the process, the answer it printed, and what its report says of memory."""
    if options.write:
        shutil.rmtree(options.write, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        report_path = Path(scratch) / "report.json"
        begin = time.perf_counter()
        done = subprocess.run([*command, "--report", str(report_path)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - begin
        if done.returncode != 0:
            raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()[-300:]}")
        report = json.loads(report_path.read_text())
    answer = json.loads(done.stdout)
    if options.query in EXAMPLES:
        example = EXAMPLES[options.query]
        rows = example.rows([row[column] for column in example.columns] for row in answer["answer"])
        answer = {"groups": len(rows), "hash": answer["hash"], "table": rows}
    if "pages" in answer:
        answer["groups"] = answer.pop("pages")
    if options.query == queries.LINKS:
        # Rows of it are pages, where the others read lines.
        del answer["rows"]
        answer["top"] = [{"destPage": row["page"], "totalCount": row["links"]} for row in answer["top"]]
    if answer["hash"] != report["answer"]["hash"] or answer["groups"] != report["answer"]["rows"]:
        raise RuntimeError("the answer and the report disagree")
    return {"seconds": seconds, "peak_rss_bytes": report["peak_rss_bytes"],
            "table_bytes": report.get("group_bytes"), "spilled_bytes": report.get("spilled_bytes"),
            "input_bytes": report["input"]["bytes"], "imbalance": report.get("imbalance"), "answer": answer}


if __name__ == "__main__":
    serve(start, run)
