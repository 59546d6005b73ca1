"""The sets that the comparison of assignments reads hold the same rows, and its table pairs the right runs."""

import tempfile
import unittest
from pathlib import Path

from harness.assignment import cases, compare
from harness.dataset import Dataset, recut


class Recut(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.source = Dataset(Path(self.folder.name), "rows-100")
        self.source.table.mkdir(parents=True)
        for part in range(4):
            rows = "".join(f"{part}.{row}.0.0,page,{row}\n" for row in range(25))
            (self.source.table / f"part-{part}").write_text(rows)

    def test_rows_stay_and_sizes_follow_the_weights(self):
        rows = b"".join(path.read_bytes() for path in self.source.files())
        found = recut(self.source, "uneven", [1, 6, 1])
        self.assertEqual(b"".join(path.read_bytes() for path in found.files()), rows)
        sizes = [path.stat().st_size for path in found.files()]
        for size, parts in zip(sizes, [1, 6, 1], strict=True):
            self.assertAlmostEqual(size, len(rows) * parts / 8, delta=40)

    def test_only_the_first_address_of_each_file_is_quoted(self):
        files = recut(self.source, "quoted", [1, 1], quoted=True).files()
        self.assertTrue(files[0].read_bytes().startswith(b'"0.0.0.0",page,0\n'))
        self.assertEqual([path.read_bytes().count(b'"') for path in files], [2, 2])


class Compare(unittest.TestCase):
    def test_ratios_are_of_one_round(self):
        times = {"modulo": [2.0, 6.0, 3.0], "shared": [1.0, 2.0, 3.0]}
        rows = [{"setting": case.setting, "timed": True, "seconds": seconds, "imbalance": 1.5}
                for case in cases() for seconds in times[case.flags[-1]]]
        lines = compare("equal", rows)
        self.assertEqual([line[1] for line in lines], ["`-w 2`", "`-n 2 -w 1`"])
        self.assertEqual(lines[0][2:], ["3.000", "2.000", "2.00×", "1.00×", "3.00×", "1.50×", "1.50×"])


if __name__ == "__main__":
    unittest.main()
