"""What the run ran on: enough to judge a figure by, nothing that names anyone's machine."""

import datetime
import os
import platform
import subprocess
from pathlib import Path

from harness.options import ROOT


def describe():
    """Facts of this machine; what cannot be found out is 'unknown' or 0."""
    cpu = _field("/proc/cpuinfo", "model name") or platform.processor() or "unknown"
    flags = (_field("/proc/cpuinfo", "flags") or "").split()
    memory = (_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]
    return {
        "cpu": cpu,
        "vectors": next((name for name in ("avx512f", "avx2") if name in flags), "none"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": int(memory) * 1024,
        # A kernel's suffix names who built it, often for whom.
        "os": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "distribution": _distribution(),
    }


def facts():
    """What a run's files say from its start: date, machine, and the neutral name of that."""
    described = describe()
    return {"date": datetime.date.today().isoformat(), "machine": described, "name": short_name(described)}


def short_name(machine):
    """A neutral name for a folder, such as `2core-xeon-avx512`."""
    known = ("xeon", "epyc", "ryzen", "core", "graviton", "neoverse", "apple")
    family = next((word for word in known if word in machine["cpu"].lower()), platform.machine().replace("_", "-"))
    vectors = {"avx512f": "-avx512", "avx2": "-avx2"}.get(machine["vectors"], "")
    return f"{machine['cores']}core-{family}{vectors}"


def commit():
    """The commit of this checkout, marked when files differ from it."""
    def git(*arguments):
        done = subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    name = git("rev-parse", "--short=12", "HEAD")
    if name is None:
        return "unknown"
    return name + (" with uncommitted changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def python():
    """The Python that runs the peers' sessions."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def load_average():
    """Processes that wanted to run over the last minute: more than a few tenths before a run spoils it; None if unknown."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _field(path, name):
    try:
        for line in Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return None


def _distribution():
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except (OSError, AttributeError):
        return "unknown"
