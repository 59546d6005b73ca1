"""scripts/new-query: what it makes, and what it refuses. That its template compiles and that its test holds is the business of cargo, which has it as an example."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class NewQuery(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.root = Path(home.name)
        for file in ("scripts/new-query", "examples/new_query.rs"):
            (self.root / file).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / file, self.root / file)
        (self.root / "src/bin").mkdir(parents=True)

    def run_script(self, *arguments):
        return subprocess.run([self.root / "scripts/new-query", *arguments], capture_output=True, text=True)

    def test_makes_the_template_under_another_name(self):
        done = self.run_script("visits_by_day")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("cargo test --bin visits_by_day", done.stdout)
        made = (self.root / "src/bin/visits_by_day.rs").read_text()
        template = (ROOT / "examples/new_query.rs").read_text()
        self.assertIn('Job::plan("visits_by_day"', made)
        self.assertIn("cargo run --release --bin visits_by_day\n", made)
        self.assertNotIn("new_query", made)
        self.assertEqual(made.replace("--bin visits_by_day", "--example new_query").replace("visits_by_day", "new_query"), template)

    def test_never_overwrites(self):
        (self.root / "src/bin/mine.rs").write_text("precious")
        done = self.run_script("mine")
        self.assertEqual((done.returncode, done.stderr), (1, "src/bin/mine.rs is there already\n"))
        self.assertEqual((self.root / "src/bin/mine.rs").read_text(), "precious")

    def test_names_that_are_none(self):
        for arguments in ([], ["Visits"], ["../x"], ["two words"], ["a", "b"], ["1st"], ["a-b"]):
            done = self.run_script(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn("scripts/new-query visits_by_day", done.stderr)
        self.assertEqual(list((self.root / "src/bin").iterdir()), [])

    def test_names_that_cargo_keeps_for_itself(self):
        for name in ("build", "deps", "examples", "incremental"):
            done = self.run_script(name)
            self.assertEqual(done.returncode, 2, name)
            self.assertIn(f"cargo has a directory called {name} beside its programs", done.stderr)
        self.assertEqual(list((self.root / "src/bin").iterdir()), [])


if __name__ == "__main__":
    unittest.main()
