#!/usr/bin/python
"""Checksums of all files below a directory; on request, takes them out of the page cache, or leaves only a node's share. Needs no root."""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: millrace_files
short_description: One digest for all files of a directory, drop them from the page cache, or deal them
description:
  - The digest covers names relative to each directory, sizes and contents, so equal digests on two nodes mean equal data.
options:
  directories:
    description: Directories whose files are meant, subdirectories included.
    type: list
    elements: path
    required: true
  names:
    description: Only these files, by their names relative to each directory. Default is all.
    type: list
    elements: str
    default: []
  missing:
    description: V(fail), or V(empty), which gives the digest of nothing where a file is missing, or a directory holds none.
    choices: [fail, empty]
    default: fail
    type: str
  state:
    description:
      - V(digested) reads all files; V(uncached) writes them back and drops them from the page cache, and says whether any of them was there.
      - V(listed) gives the names of data files, a list for each directory, and reads nothing.
      - V(dealt) leaves in each directory only the files that are this node's, those with a place among all names that is O(node) modulo O(nodes).
        Size and SHA-256 of all are noted first, in a file named _shard, so that the digest is that of all, and what is left can be proven later.
    choices: [digested, uncached, listed, dealt]
    default: digested
    type: str
  node:
    description: Index of this node, from 0.
    type: int
    default: 0
  nodes:
    description: Number of nodes.
    type: int
    default: 1
author: Millrace
"""

BLOCK_BYTES = 1 << 20
# Queries pass over names that begin so.
MARKER = "_shard"


def files_in(directory):
    """All files, in an order that every node agrees on."""
    found = []
    for folder, folders, names in os.walk(directory):
        folders.sort()
        found += [os.path.join(folder, name) for name in names]
    return sorted(found)


def digest_of(path):
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def data_files(directory):
    """Names of the files that a query reads, as it sorts them."""
    return sorted(name for name in os.listdir(directory) if not name.startswith(("_", ".")))


def deal(directory, node, nodes, check_mode):
    """Leaves only this node's files. Returns what all files were, in words, and whether anything changed."""
    marker = os.path.join(directory, MARKER)
    changed = not os.path.exists(marker)
    if changed:
        paths = {name: os.path.join(directory, name) for name in data_files(directory)}
        files = {name: [os.path.getsize(path), digest_of(path)] for name, path in paths.items()}
        dealt = {"node": node, "nodes": nodes, "files": files}
        if not check_mode:
            # Whole before the first file goes: a share that was cut short is finished next time.
            with open(marker + ".tmp", "w", encoding="utf-8") as file:
                json.dump(dealt, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(marker + ".tmp", marker)
    else:
        with open(marker, encoding="utf-8") as file:
            dealt = json.load(file)
    if (dealt["node"], dealt["nodes"]) != (node, nodes):
        raise ValueError(f"{directory} has the share of node {dealt['node']} of {dealt['nodes']}, not {node} of {nodes}; remove the set here, and repeat")
    names = sorted(dealt["files"])
    here, own = set(data_files(directory)), set(names[node::nodes])
    if not own <= here <= set(names):
        raise ValueError(f"{directory} lacks files of this node, or has others; remove the set here, and repeat")
    if not changed:
        wrong = [name for name in sorted(own) if digest_of(os.path.join(directory, name)) != dealt["files"][name][1]]
        if wrong:
            raise ValueError(f"{os.path.join(directory, wrong[0])} is not what it was; remove the set here, and repeat")
    for name in here - own:
        changed = True
        if not check_mode:
            os.remove(os.path.join(directory, name))
    return json.dumps(dealt["files"], sort_keys=True), changed


def deal_all(module):
    """Deals every directory."""
    whole, changed = hashlib.sha256(), False
    for directory in module.params["directories"]:
        text, more = deal(directory, module.params["node"], module.params["nodes"], module.check_mode)
        whole.update(f"{text}\n".encode())
        changed |= more
    module.exit_json(changed=changed, digest=whole.hexdigest())


def is_cached(descriptor, size):
    """Whether any page of a file is in the page cache; the kernel tells that without bringing it there."""
    if size == 0:
        return False
    # Python gives the address of writable maps only; a private one leaves the file alone.
    with mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY) as view:
        first = ctypes.c_char.from_buffer(view)
        pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        failed = ctypes.CDLL(None).mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), pages)
        # The map cannot be closed while anybody has its address.
        del first
    return failed != 0 or any(bytes(pages))


def drop(path, size, check_mode):
    """Takes a file out of the page cache; says whether it was there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        cached = is_cached(descriptor, size)
        if not check_mode:
            # Only what is on the disk can be dropped.
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return cached
    finally:
        os.close(descriptor)


def main():
    """The module."""
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "path", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "missing": {"choices": ["fail", "empty"], "default": "fail"},
            "state": {"choices": ["digested", "uncached", "listed", "dealt"], "default": "digested"},
            "node": {"type": "int", "default": 0},
            "nodes": {"type": "int", "default": 1},
        },
        supports_check_mode=True,
    )
    try:
        if module.params["state"] == "listed":
            module.exit_json(changed=False, names=[data_files(directory) for directory in module.params["directories"]])
        if module.params["state"] == "dealt":
            deal_all(module)
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    whole, size, count, cached = hashlib.sha256(), 0, 0, 0
    try:
        for position, directory in enumerate(module.params["directories"]):
            files = [os.path.join(directory, name) for name in module.params["names"]] or files_in(directory)
            if not files and module.params["missing"] == "fail":
                module.fail_json(msg=f"there are no files in {directory}")
            for path in files:
                bytes_here = os.path.getsize(path)
                size, count = size + bytes_here, count + 1
                if module.params["state"] == "digested":
                    name = os.path.relpath(path, directory)
                    whole.update(f"{position}\0{name}\0{bytes_here}\0{digest_of(path)}\n".encode())
                else:
                    cached += drop(path, bytes_here, module.check_mode)
    except OSError as error:
        if not (isinstance(error, FileNotFoundError) and module.params["missing"] == "empty"):
            module.fail_json(msg=str(error))
        whole, size, count = hashlib.sha256(), 0, 0
    if module.params["state"] == "uncached":
        module.exit_json(changed=cached > 0, files=count, cached=cached, bytes=size)
    module.exit_json(changed=False, files=count, bytes=size, digest=whole.hexdigest())


if __name__ == "__main__":
    main()
