#!/usr/bin/python
"""Checksums of all files below a directory, and, on request, takes them out of the page cache. Needs no root."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
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
    description: V(digested) reads all files; V(uncached) writes them back and drops them from the page cache, and says whether any of them was there.
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
            "state": {"choices": ["digested", "uncached"], "default": "digested"},
        },
        supports_check_mode=True,
    )
    whole, size, count, cached = hashlib.sha256(), 0, 0, 0
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
