#!/usr/bin/python
"""Checksums of all files below a directory, and, on request, takes them out of the page cache. Needs no root."""

from __future__ import annotations

import hashlib
import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: millrace_files
short_description: One digest for all files of a directory, or drop them from the page cache
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
    description: V(fail), or V(empty), which gives the digest of nothing where a file is missing.
    choices: [fail, empty]
    default: fail
    type: str
  state:
    description: V(digested) reads all files; V(uncached) writes them back and drops them from the page cache.
    choices: [digested, uncached]
    default: digested
    type: str
author: Millrace
"""

BLOCK_BYTES = 1 << 20


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


def main():
    """The module."""
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "path", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "missing": {"choices": ["fail", "empty"], "default": "fail"},
            "state": {"choices": ["digested", "uncached"], "default": "digested"},
        },
        supports_check_mode=True,
    )
    whole, size, count = hashlib.sha256(), 0, 0
    try:
        for position, directory in enumerate(module.params["directories"]):
            files = [os.path.join(directory, name) for name in module.params["names"]] or files_in(directory)
            if not files:
                module.fail_json(msg=f"there are no files in {directory}")
            for path in files:
                bytes_here = os.path.getsize(path)
                size, count = size + bytes_here, count + 1
                if module.params["state"] == "digested":
                    name = os.path.relpath(path, directory)
                    whole.update(f"{position}\0{name}\0{bytes_here}\0{digest_of(path)}\n".encode())
                elif not module.check_mode:
                    descriptor = os.open(path, os.O_RDONLY)
                    # Only what is on the disk can be dropped.
                    os.fdatasync(descriptor)
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.close(descriptor)
    except OSError as error:
        if not (isinstance(error, FileNotFoundError) and module.params["missing"] == "empty"):
            module.fail_json(msg=str(error))
        whole, size, count = hashlib.sha256(), 0, 0
    if module.params["state"] == "uncached":
        module.exit_json(changed=True, files=count, bytes=size)
    module.exit_json(changed=False, files=count, bytes=size, digest=whole.hexdigest())


if __name__ == "__main__":
    main()
