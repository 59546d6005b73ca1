"""Free memory that costs no more than it does on a machine of one's own.

A virtual machine may give its free memory back to its host (free page reporting): what a program then takes first, the host has to find and clear
anew, here at 3 s a gigabyte. Who starts as a process of its own pays that each time, and who runs on in a session never, so without this a
benchmark tells of the host. As for the page cache, nobody pays: just before its turn, so much memory is taken, touched and left.
"""

import contextlib
import mmap

# More than this is not touched: it would take longer than most queries.
MOST_BYTES = 2 << 30


class WarmMemory:
    """What each of several cases took at most until now, which is touched before its next turn."""

    def __init__(self):
        self.peaks = {}

    def ready(self, case):
        """Touches as much as the case took in its turns until now; the bytes."""
        return touch(self.peaks.get(case, 0))

    def note(self, case, peak_bytes):
        """Keeps what a turn of the case took; None where that is not known."""
        self.peaks[case] = max(self.peaks.get(case, 0), peak_bytes or 0)


def touch(size):
    """Takes so many bytes of memory, touches each page and gives them back; says how many it took."""
    size = min(size, MOST_BYTES)
    if size == 0:
        return 0
    # Private: of what is shared with others there are no large pages.
    with contextlib.closing(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)) as room:
        # Large pages, which is what the queries and the other engines take, come from elsewhere than small ones. Where there are none, the small ones do.
        with contextlib.suppress(AttributeError, OSError):
            room.madvise(mmap.MADV_HUGEPAGE)
        room[::mmap.PAGESIZE] = bytes(len(range(0, size, mmap.PAGESIZE)))
    return size
