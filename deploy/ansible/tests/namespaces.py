"""A cluster in one machine: network namespaces on a bridge, each with its own address, sshd, user and home. Needs root.

A node differs from a machine in that it shares kernel, processes and programs with the others. Its network, its /etc/passwd, its
home and its host key are its own, and what happens on it happens as an ordinary user.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

USER, UID = "mill", 4711
# Set aside for tests between networks (RFC 2544), so no real network has it; two tests at a time have two.
NETWORK = f"198.{18 + (os.getpid() >> 8) % 2}.{os.getpid() % 256}"
NEEDED = ["ip", "nsenter", "unshare", "ssh", "ssh-keygen", "/usr/sbin/sshd"]


def missing():
    """Why there can be no such cluster here, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    tools = [tool for tool in NEEDED if not shutil.which(tool)]
    if tools:
        return f"{', '.join(tools)} not found (Debian: apt-get install iproute2 util-linux openssh-client openssh-server)"
    probe = subprocess.run(["unshare", "--net", "--mount", "true"], stderr=subprocess.PIPE, text=True)
    return f"this kernel or container refuses namespaces: {probe.stderr.strip()}" if probe.returncode else None


def run(*command, **options):
    """Runs a command that must succeed."""
    subprocess.run(command, check=True, **options)


def kill(process):
    """Kills a process that may have ended by itself."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Node:
    """One namespace with its sshd."""

    def __init__(self, cluster, index):
        self.name = f"node{index}"
        self.address = f"{NETWORK}.{10 + index}"
        self.netns = f"{cluster.tag}n{index}"
        self.link = f"{cluster.tag}v{index}"
        self.folder = cluster.folder / self.name
        self.home = self.folder / "home"
        self.script = None
        self.sshd = None

    def create(self, cluster):
        """Namespace, link, user, keys, and the sshd that listens on this node's address alone."""
        run("ip", "netns", "add", self.netns)
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.netns)
        run("ip", "link", "set", self.link, "master", cluster.bridge, "up")
        inside = ["ip", "-n", self.netns]
        run(*inside, "addr", "add", f"{self.address}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "link", "set", "lo", "up")

        (self.home / ".ssh").mkdir(parents=True)
        shutil.copy(cluster.key.with_suffix(".pub"), self.home / ".ssh/authorized_keys")
        for path in [self.home, *self.home.rglob("*")]:
            os.chown(path, UID, UID)
            path.chmod(0o755 if path == self.home else 0o700)
        accounts = {
            "passwd": f"{USER}:x:{UID}:{UID}::{self.home}:/bin/sh\n",
            "group": f"{USER}:x:{UID}:\n",
            "shadow": f"{USER}:*:19000:0:99999:7:::\n",
        }
        binds = []
        for file, line in accounts.items():
            text = Path("/etc", file).read_text(encoding="utf-8")
            if file == "passwd" and "\nsshd:" not in text:
                line += "sshd:x:4712:4712::/run/sshd:/usr/sbin/nologin\n"
            (self.folder / file).write_text(text + line, encoding="utf-8")
            binds.append(f"mount --bind {self.folder / file} /etc/{file}")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", self.folder / "host_key")
        (self.folder / "sshd_config").write_text(
            f"ListenAddress {self.address}:22\nHostKey {self.folder}/host_key\nPidFile none\nUsePAM no\n"
            f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nAllowUsers {USER}\nStrictModes no\n"
            "MaxStartups 100\nSubsystem sftp internal-sftp\n", encoding="utf-8")
        self.script = " && ".join([*binds, f"exec /usr/sbin/sshd -D -e -f {self.folder}/sshd_config"])
        self.start()

    def start(self):
        """Starts sshd; the node was made, or lost."""
        with open(self.folder / "sshd.log", "ab") as log:
            self.sshd = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.netns}", "unshare", "--mount", "--propagation", "private", "sh", "-c", self.script],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def lose(self):
        """Kills all that runs on the node, sshd and sessions included: nobody is left there to tell anything."""
        for process in self.processes():
            kill(process)
        # Sessions, and masters of shared connections, are processes in the namespace.
        listed = subprocess.run(["ip", "netns", "pids", self.netns], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for process in listed.stdout.split():
            kill(int(process))
        if self.sshd:
            self.sshd.wait()

    def known_host(self):
        """This node's line of a known_hosts file."""
        return f"{self.address} {(self.folder / 'host_key.pub').read_text(encoding='utf-8')}"

    def processes(self):
        """Processes whose program lies in this node's folder: {process id: path of the program}."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    program = os.readlink(entry / "exe")
                except OSError:
                    continue
                if program.startswith(f"{self.folder}/"):
                    found[int(entry.name)] = program
        return found


class Cluster:
    """Several nodes, an ssh key, and what Ansible needs to know; everything goes when the `with` block ends."""

    def __init__(self, folder, size):
        self.folder = folder
        # Names of links have 15 characters at most.
        self.tag = f"mr{os.getpid()}"
        self.bridge = f"{self.tag}b"
        self.key = folder / "key"
        self.nodes = [Node(self, index) for index in range(size)]

    def __enter__(self):
        try:
            self.create()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.remove()

    def create(self):
        """The bridge, the nodes on it, and the files for ssh."""
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "for one run", "-f", self.key)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"{NETWORK}.1/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        for node in self.nodes:
            node.create(self)
        known = self.folder / "known_hosts"
        known.write_text("".join(node.known_host() for node in self.nodes), encoding="utf-8")
        for node in self.nodes:
            self.await_ssh(node)

    def await_ssh(self, node):
        """Logs in until it works."""
        deadline = time.monotonic() + 60
        command = ["ssh", "-F", "none", "-i", self.key, "-o", f"UserKnownHostsFile={self.folder}/known_hosts", "-o", "BatchMode=yes",
                   "-o", "ConnectTimeout=10", f"{USER}@{node.address}", "true"]
        while (login := subprocess.run(command, stderr=subprocess.PIPE, text=True)).returncode:
            if time.monotonic() > deadline or node.sshd.poll() is not None:
                raise RuntimeError(f"{node.name}: {login.stderr}\n{(node.folder / 'sshd.log').read_text(errors='replace')}")
            time.sleep(0.2)

    def remove(self):
        """Ends what runs on the nodes, and the nodes."""
        for node in self.nodes:
            node.lose()
            subprocess.run(["ip", "netns", "del", node.netns], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", self.bridge], stderr=subprocess.DEVNULL)
