"""scripts/plot: pictures show what was measured, and all of it."""

import json
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def result(engine, seconds, timed=True, failure=None, query="2A"):
    return {"query": query, "rows": 1000, "mode": "held", "format": "csv", "engine": engine, "setting": "`-w 1`", "timed": timed, "seconds": seconds, "failure": failure}


class Plot(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = Path(home.name)

    def plot(self, *arguments):
        return subprocess.run([ROOT / "scripts/plot", *arguments], capture_output=True, text=True, cwd=self.home)

    def draw(self, *results):
        (self.home / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in results))
        done = self.plot(self.home)
        self.assertEqual(done.returncode, 0, done.stderr)
        return ElementTree.parse(self.home / "times.svg").getroot()

    def test_bars_are_medians_of_timed_rounds(self):
        drawn = self.draw(result("slow", 9.0, timed=False), *(result("slow", time) for time in (4.0, 1.0, 2.0)), result("millrace", 1.0))
        titles = [bar.find(f"{SVG}title").text for bar in drawn.iter(f"{SVG}rect") if bar.get("class", "").startswith("bar ")]
        self.assertEqual(titles, ["slow, -w 1: 2.000 s, 1.000 to 4.000", "Millrace, -w 1: 1.000 s, 1.000 to 1.000"])
        slow, ours = (float(bar.get("width")) for bar in drawn.iter(f"{SVG}rect") if bar.get("class", "").startswith("bar "))
        self.assertAlmostEqual(slow / ours, 2, delta=0.01)

    def test_a_failure_is_shown_and_never_left_out(self):
        drawn = self.draw(result("a<b", None, failure="wrong answer"), result("millrace", 1.0), result("a<b", 1.0, query="2C"))
        texts = [text.text for text in drawn.iter(f"{SVG}text")]
        self.assertIn("failed", texts)
        self.assertEqual(texts.count("a<b, -w 1"), 2)
        self.assertEqual(sum("Query 2" in text for text in texts), 2)

    def test_what_an_engine_cannot_do_has_a_line_with_the_reason(self):
        drawn = self.draw(result("polars", None, timed=False) | {"cannot": "no such files"}, result("millrace", 1.0))
        texts = [text.text for text in drawn.iter(f"{SVG}text")]
        self.assertIn("– no such files", texts)
        self.assertNotIn("failed", texts)

    def test_every_committed_run_can_be_drawn(self):
        runs = list((ROOT / "benchmarks/runs").glob("*/results.jsonl"))
        self.assertTrue(runs)
        for run in runs:
            done = self.plot(run, "-o", self.home / "drawn.svg")
            self.assertEqual(done.returncode, 0, f"{run}: {done.stderr}")
            ElementTree.parse(self.home / "drawn.svg")
            self.check_kept(run, "times.svg")
            if run.with_name("overview.svg").exists():
                self.check_kept(run, "overview.svg", "--overview")

    def check_kept(self, run, name, *options):
        """A picture that is kept beside its results is what is drawn of them now."""
        self.assertEqual(self.plot(run, "-o", self.home / "drawn.svg", *options).returncode, 0)
        kept = run.with_name(name)
        if kept.exists():
            wrong = kept.read_text() != (self.home / "drawn.svg").read_text()
            self.assertFalse(wrong, f"{kept} is not what is drawn now: scripts/plot {' '.join(options)} {run.parent}")

    def test_the_overview_has_a_dot_for_each_engine_and_every_failure(self):
        def case(engine, seconds, query="2A", form="csv", setting="2 threads"):
            failure = None if seconds else "why"
            return result(engine, seconds, failure=failure, query=query) | {"format": form, "setting": setting, "workers": 2}

        rows = [case("millrace", 1.0, setting="-w 2"), case("duckdb", 10.0), case("polars", None),
                case("millrace", 0.1, "3A", "packed", "-w 2"), case("duckdb", 1.0, "3A", "packed", "2 threads, native"), case("duckdb", 10.0, "3A", "packed", "2 threads, parquet")]
        (self.home / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = self.plot("--overview", self.home)
        self.assertEqual(done.returncode, 0, done.stderr)
        drawn = ElementTree.parse(self.home / "overview.svg").getroot()
        dots = {dot.find(f"{SVG}title").text: dot for dot in drawn.iter() if dot.get("class", "").split()[:1] in (["dot"], ["hollow"]) and dot.find(f"{SVG}title") is not None}
        self.assertEqual(sorted(dots), ["DuckDB, Parquet: 10.000 s", "DuckDB, own tables: 1.000 s", "DuckDB: 10.000 s", "Millrace: 0.100 s", "Millrace: 1.000 s"])
        across = [float(dots[f"DuckDB, {name}"].get("cx")) for name in ("own tables: 1.000 s", "Parquet: 10.000 s")]
        left = float(dots["Millrace: 0.100 s"].get("d")[1:].split()[0])
        self.assertAlmostEqual(across[1] - across[0], across[0] - left, delta=0.2, msg="ten times as long is as far again")
        self.assertEqual(dots["DuckDB, own tables: 1.000 s"].get("class"), "hollow duckdb")
        self.assertIn("Polars failed", [text.text for text in drawn.iter(f"{SVG}text")])

    def test_marks_of_the_same_time_do_not_hide_each_other_and_engines_keep_their_colours(self):
        engines = ("millrace", "duckdb", "polars", "spark")
        rows = [result(engine, 1.0) | {"setting": "-w 2" if engine == "millrace" else "2 threads", "workers": 2} for engine in engines]
        (self.home / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.assertEqual(self.plot("--overview", self.home).returncode, 0)
        drawn = ElementTree.parse(self.home / "overview.svg").getroot()
        marks = [mark for mark in drawn.iter(f"{SVG}circle") if mark.find(f"{SVG}title") is not None]
        heights = [float(mark.get("cy")) for mark in marks]
        self.assertEqual(len(set(heights[:2])), 2, "of three at one place, two can be moved away from ours")
        bars = [bar.get("class") for bar in self.draw(*rows).iter(f"{SVG}rect") if bar.get("class", "").startswith("bar ")]
        self.assertEqual(bars, [f"bar {engine}" for engine in engines])
        self.assertEqual([mark.get("class") for mark in marks], ["dot spark", "dot polars", "dot duckdb"])

    def test_a_report_goes_into_the_page_as_it_is(self):
        report = {"query": "</script>", "workers_detail": []}
        (self.home / "r.json").write_text(json.dumps(report))
        self.assertEqual(self.plot("r.json").returncode, 0)
        page = (self.home / "r.html").read_text()
        inside = page.split('id="report">')[1].split("</script>")[0]
        self.assertEqual(json.loads(inside), report)

    def test_what_is_no_measurement_is_refused(self):
        (self.home / "x.json").write_text("{}")
        (self.home / "results.jsonl").write_text("")
        for source, said in (("x.json", "is no report"), ("results.jsonl", "has no results"), ("none", "there is no none")):
            done = self.plot(source)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(said, done.stderr)
        self.assertEqual(sorted(path.name for path in self.home.iterdir()), ["results.jsonl", "x.json"])


if __name__ == "__main__":
    unittest.main()
