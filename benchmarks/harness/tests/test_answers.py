"""A wrong answer must be told from a right one, however small the difference."""

import tempfile
import unittest
from pathlib import Path

from harness.answers import differences, digest, written_digest


def answer(**changes):
    """A right answer, changed where the test says so."""
    right = {
        "groups": 3, "revenue": 2.25,
        "top": [{"prefix": "a", "revenue": 1.0}, {"prefix": "b", "revenue": 1.0}, {"prefix": "c", "revenue": 0.25}],
    }
    return right | changes


class Differences(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(differences(answer(), answer()), [])

    def test_order_of_ties_is_no_difference(self):
        turned = [answer()["top"][place] for place in (1, 0, 2)]
        self.assertEqual(differences(answer(), answer(top=turned)), [])
        self.assertEqual(digest(answer()), digest(answer(top=turned)))

    def test_smallest_float_step_is_a_difference(self):
        found = differences(answer(), answer(revenue=2.25 + 2**-51))
        self.assertEqual(found, ["revenue is 2.2500000000000004, expected 2.25"])

    def test_groups(self):
        self.assertEqual(differences(answer(), answer(groups=2)), ["groups is 2, expected 3"])

    def test_top(self):
        self.assertEqual(differences(answer(), answer(top=answer()["top"][:2])), ["top has 2 groups, expected 3"])
        other = answer()["top"][:2] + [{"prefix": "d", "revenue": 0.25}]
        self.assertEqual(differences(answer(), answer(top=other)), ["place 3 is d with 0.25, expected c with 0.25"])
        self.assertNotEqual(digest(answer()), digest(answer(top=other)))

    def test_missing_parts(self):
        self.assertEqual(len(differences(answer(), {})), 3)


class OtherQueries(unittest.TestCase):
    PAGES = {"groups": 2, "top": [{"pageURL": "b", "pageRank": 7}, {"pageURL": "a", "pageRank": 7}]}
    ADDRESSES = {"groups": 1, "visits": 3, "top": [{"sourceIP": "1.2.3.4", "totalRevenue": 0.5, "pageRank": 2.5}]}

    def test_pages_have_no_total(self):
        turned = {"groups": 2, "top": [{"pageRank": 7, "pageURL": "a"}, {"pageRank": 7, "pageURL": "b"}]}
        self.assertEqual(differences(self.PAGES, turned), [])
        self.assertEqual(digest(self.PAGES), digest(turned))
        self.assertEqual(differences(self.PAGES, turned | {"groups": 3}), ["groups is 3, expected 2"])

    def test_mean_rank_and_visits_matter(self):
        [row] = self.ADDRESSES["top"]
        other = self.ADDRESSES | {"top": [row | {"pageRank": 2.25}]}
        self.assertEqual(differences(self.ADDRESSES, other), ["place 1 is 1.2.3.4 with 0.5 and 2.25, expected 1.2.3.4 with 0.5 and 2.5"])
        self.assertNotEqual(digest(self.ADDRESSES), digest(other))
        self.assertEqual(differences(self.ADDRESSES, self.ADDRESSES | {"visits": 4}), ["visits is 4, expected 3"])
        self.assertEqual(differences(self.ADDRESSES, {"groups": 1, "top": [row]}), ["visits is None, expected 3"])


class WrittenDigest(unittest.TestCase):
    def digest_of(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                (Path(folder) / name).write_text(text)
            return written_digest(Path(folder))

    def test_files_order_and_spelling_do_not_matter(self):
        one = self.digest_of(a="1.2,0.5\n3.4,0.00001\n")
        two = self.digest_of(b="3.4,1e-05\n", c="prefix,revenue\n1.2,5e-1\n", _SUCCESS="{}", **{"manifest.json": "{}"})
        self.assertEqual(one, two)
        self.assertEqual(one[0], 2)

    def test_every_row_matters(self):
        base = self.digest_of(a="1.2,0.5\n")
        self.assertNotEqual(base, self.digest_of(a="1.2,0.5\n1.2,0.5\n"))
        self.assertNotEqual(base[1], self.digest_of(a="1.2,0.50000000000000011\n")[1])
        self.assertNotEqual(base[1], self.digest_of(a="1.3,0.5\n")[1])


if __name__ == "__main__":
    unittest.main()
