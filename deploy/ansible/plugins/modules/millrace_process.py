#!/usr/bin/python
"""Starts, watches and ends one process of a job, by files in the run's own directory. Needs no root and no systemd.

Files of a run directory: `pid` (process id and start time, while it runs), `exit` (exit code, once it ended), `stdout`, `stderr`.
"""

from __future__ import annotations

import os
import resource
import shlex
import signal
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: millrace_process
short_description: Start, await or stop a process of a Millrace job
description:
  - Runs a program detached from the connection that started it, and keeps its process id, exit code and output in a directory.
options:
  directory:
    description: Directory of the run on the node; V(started) makes it, and lets a link C(latest) beside it lead there.
    type: path
    required: true
  state:
    description:
      - V(started) starts the program unless it was started in this directory before.
      - V(awaited) looks at it for up to O(seconds) and returns its exit code, if it ended.
      - V(stopped) sends SIGTERM, and SIGKILL after O(seconds); says whether there was anything to stop.
    choices: [started, awaited, stopped]
    required: true
    type: str
  argv:
    description: The program and its arguments.
    type: list
    elements: str
    default: []
  words:
    description: More arguments, as typed in a shell; quotes group, nothing is expanded.
    type: str
    default: ""
  open_files:
    description: Open files the program may have.
    type: int
    default: 1024
  seconds:
    description: How long to wait.
    type: float
    default: 5
author: Millrace
"""


def read(path):
    """The text of a small file, or an empty string."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def start_time(pid):
    """When the process began, in clock ticks since boot; a process id is used again, the pair is not. Empty for none."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    # A zombie has ended; only its parent has not asked yet.
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


class Run:
    """What the files in a run directory say."""

    def __init__(self, directory):
        self.directory = directory

    def path(self, name):
        """Path of a file of the run."""
        return os.path.join(self.directory, name)

    def pid(self):
        """The running process, or None."""
        pid, _, started = read(self.path("pid")).partition(" ")
        return int(pid) if pid.isdigit() and started and start_time(pid) == started else None

    def exit_code(self):
        """The exit code, as shells give it (128 + signal), or None as long as nobody wrote one."""
        text = read(self.path("exit"))
        return int(text) if text.isdigit() else None

    def write(self, name, text):
        """Writes a file so that a reader sees all of it or none."""
        with open(self.path(name + ".new"), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.path(name + ".new"), self.path(name))

    def progress(self, pid):
        """What the process did so far, as the kernel counts it."""
        figures = dict(line.split(":", 1) for line in read(f"/proc/{pid}/io").splitlines() if ":" in line)
        status = dict(line.split(":", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":" in line)
        memory = int((status.get("VmRSS") or "0").split()[0])
        seconds = time.time() - os.stat(self.path("pid")).st_mtime
        return f"{seconds:.0f} s, {int(figures.get('rchar', 0)) / 1e6:,.0f} MB read, {memory * 1024 / 1e6:,.0f} MB of memory"


def supervise(run, argv, open_files):
    """In a process of its own: starts the program, waits for it, writes down how it ended."""
    os.setsid()
    # One more fork, so that no module process is anybody's parent.
    if os.fork():
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    child = os.fork()
    if child == 0:
        os.setsid()
        # Files that the arguments name without a folder belong to the run.
        os.chdir(run.directory)
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
        os.closerange(3, 256)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, hard))
            os.execv(argv[0], argv)
        except (OSError, ValueError) as error:
            os.write(2, f"cannot start {argv[0]}: {error}\n".encode())
        os._exit(127)
    run.write("pid", f"{child} {start_time(child)}")
    status = os.waitpid(child, 0)[1]
    run.write("exit", str(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)))
    os.unlink(run.path("pid"))
    os._exit(0)


def name_latest(run):
    """Lets the link `latest`, beside the run's directory, lead to it."""
    link = os.path.join(os.path.dirname(run.directory), "latest")
    os.symlink(os.path.basename(run.directory), link + ".new")
    os.rename(link + ".new", link)


def started(module, run):
    """Starts the program, unless this directory knows of one already."""
    if run.pid() or run.exit_code() is not None:
        module.exit_json(changed=False)
    if module.check_mode:
        module.exit_json(changed=True)
    argv = module.params["argv"] + shlex.split(module.params["words"])
    os.makedirs(run.directory, exist_ok=True)
    name_latest(run)
    run.write("command", shlex.join(argv) + "\n")
    child = os.fork()
    if child == 0:
        try:
            supervise(run, argv, module.params["open_files"])
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    deadline = time.monotonic() + 30
    while run.pid() is None and run.exit_code() is None:
        if time.monotonic() > deadline:
            module.fail_json(msg=f"nothing started in {run.directory} within 30 s")
        time.sleep(0.01)
    module.exit_json(changed=True)


def awaited(module, run):
    """Waits a while for the end; `running` says whether it came."""
    deadline = time.monotonic() + module.params["seconds"]
    while run.exit_code() is None:
        pid = run.pid()
        if pid is None:
            # Between the end of the program and the note about it; who is to write the note may have been killed.
            time.sleep(0.5)
            if run.exit_code() is None:
                module.exit_json(changed=False, running=False, exit_code=-1,
                                 errors=f"it is gone, and so is who watched it. {read(run.path('stderr'))}".strip())
        elif time.monotonic() > deadline:
            module.exit_json(changed=False, running=True, progress=run.progress(pid))
        time.sleep(0.02)
    module.exit_json(changed=False, running=False, exit_code=run.exit_code(), errors=read(run.path("stderr")))


def stopped(module, run):
    """Ends the program, if it runs; a run directory is left without a pid file."""
    pid = run.pid()
    if module.check_mode:
        module.exit_json(changed=pid is not None)
    if pid is None:
        stale = os.path.exists(run.path("pid"))
        if stale:
            os.unlink(run.path("pid"))
        module.exit_json(changed=stale, how="was not running")
    os.kill(pid, signal.SIGTERM)
    # A process that was halted would not see the signal.
    os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + module.params["seconds"]
    how = "SIGTERM"
    while run.pid() is not None:
        if time.monotonic() > deadline:
            if how == "SIGKILL":
                module.fail_json(msg=f"process {pid} does not end, not even by SIGKILL")
            how, deadline = "SIGKILL", time.monotonic() + 10
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    module.exit_json(changed=True, how=how)


def main():
    """The module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "state": {"choices": ["started", "awaited", "stopped"], "required": True},
            "argv": {"type": "list", "elements": "str", "default": []},
            "words": {"type": "str", "default": ""},
            "open_files": {"type": "int", "default": 1024},
            "seconds": {"type": "float", "default": 5},
        },
        supports_check_mode=True,
    )
    run = Run(module.params["directory"])
    try:
        {"started": started, "awaited": awaited, "stopped": stopped}[module.params["state"]](module, run)
    except ProcessLookupError:
        module.exit_json(changed=True, how="ended by itself")
    except ValueError as error:
        module.fail_json(msg=f"cannot read the arguments {module.params['words']!r}: {error}")
    except OSError as error:
        module.fail_json(msg=f"{run.directory}: {error}")


if __name__ == "__main__":
    main()
