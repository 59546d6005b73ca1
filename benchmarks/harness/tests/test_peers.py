"""Sessions of real processes: would catch one that works while others are timed, one that a stop keeps from its next run or
from its end, and one that leaves what it spilled."""

import os
import tempfile
import textwrap
import time
import unittest
from pathlib import Path
from unittest import mock

from harness import peers
from harness.peers import Failure, Session

# Answers each line, and has a child that counts for as long as it may run.
BUSY = """\
    #!/bin/sh
    ( while true; do echo >> HERE/count; done ) > /dev/null &
    echo $! > HERE/child
    echo "$TMPDIR" > HERE/room
    echo spilled > "$TMPDIR/spilled"
    echo '{"ready": true, "startup_seconds": 0.1}'
    while read -r line; do echo '{"seconds": 1}'; done
    echo ended > HERE/end
"""


class Failures(unittest.TestCase):
    def test_a_reason_names_neither_this_machine_nor_its_addresses(self):
        """Once, what Spark said of its executor stood in the results."""
        reason = f"lost task (192.0.2.2 executor driver) of {peers.ROOT}/a on host-of-mine, 127.0.0.1:2101 and 1.2.3 stay"
        with mock.patch.object(peers.socket, "gethostname", lambda: "host-of-mine"):
            self.assertEqual(str(Failure(reason)), "lost task (HOST executor driver) of ./a on HOST, 127.0.0.1:2101 and 1.2.3 stay")

    def test_a_verb_that_cannot_be_run_is_a_failure(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(peers, "PEERS_DIRECTORY", Path(folder)):
            with self.assertRaises(Failure):
                peers.verb("absent", "install")


class Sessions(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        patched = mock.patch.object(peers, "PEERS_DIRECTORY", self.root)
        patched.start()
        self.addCleanup(patched.stop)
        script = self.root / "busy" / "query"
        script.parent.mkdir()
        script.write_text(textwrap.dedent(BUSY).replace("HERE", str(self.root)))
        os.chmod(script, 0o755)
        self.session = Session("busy", [], timeout_seconds=20, settle_seconds=0.05)
        self.addCleanup(self.session.close, 0)

    def states(self):
        """What the system says of the peer and of its child: T is stopped."""
        return [state(pid) for pid in (self.session.process.pid, int((self.root / "child").read_text()))]

    def count(self):
        """How far the child has counted."""
        return (self.root / "count").stat().st_size

    def test_a_session_and_its_children_are_stopped_between_runs_and_go_on_in_the_next(self):
        self.assertEqual(self.session.run(), {"seconds": 1})
        self.assertEqual(until(self.states, ["T", "T"]), ["T", "T"])
        count = self.count()
        time.sleep(0.2)
        self.assertEqual(self.count(), count, "nothing works while others are timed")
        self.assertEqual(self.session.run(), {"seconds": 1})
        self.assertEqual(until(self.states, ["T", "T"]), ["T", "T"])
        self.assertGreater(self.count(), count, "all of it works in its own turn")

    def test_it_runs_on_for_a_moment_after_its_answer(self):
        with mock.patch.object(peers.time, "sleep", lambda seconds: self.settled(seconds)):
            self.session.run()
        self.assertEqual(self.seconds, 0.05)
        self.assertNotIn("T", self.before)

    def settled(self, seconds):
        self.seconds, self.before = seconds, self.states()

    def test_a_stopped_session_ends_itself_when_it_is_closed(self):
        self.session.run()
        child = int((self.root / "child").read_text())
        begin = time.monotonic()
        self.session.close()
        self.assertLess(time.monotonic() - begin, 5, "it was not waited for in vain")
        self.assertEqual((self.root / "end").read_text(), "ended\n")
        self.assertIn(until(lambda: state(child), None), (None, "Z"), "its child went with it")

    def test_what_it_spilled_goes_with_it_however_it_ends(self):
        self.session.run()
        room = Path((self.root / "room").read_text().strip())
        self.assertEqual([path.name for path in room.iterdir()], ["spilled"])
        self.session.close(grace_seconds=0)
        self.assertFalse(room.exists())

    def test_one_that_was_killed_while_stopped_fails_its_run_and_starts_again(self):
        self.session.run()
        self.session.process.kill()
        self.session.process.wait()
        with self.assertRaises(Failure):
            self.session.run()
        self.assertEqual(self.session.run(), {"seconds": 1})


def state(pid):
    """The letter that Linux has for the state of a process; None of one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def until(look, wanted, seconds=5):
    """What `look` finds, once it is what is wanted or the time is over: signals take a moment to arrive."""
    end = time.monotonic() + seconds
    while (found := look()) != wanted and time.monotonic() < end:
        time.sleep(0.01)
    return found


if __name__ == "__main__":
    unittest.main()
