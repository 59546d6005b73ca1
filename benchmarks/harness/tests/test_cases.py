"""Each query is run with the result that the benchmark asks for, and reads the tables it needs."""

import unittest
from types import SimpleNamespace

from harness.cases import HELD, WRITTEN, blocks_for, formats_of
from harness.options import parse


class Blocks(unittest.TestCase):
    def blocks(self, *queries, memory_scale=0, formats=("csv",), peers=("duckdb", "millrace")):
        return blocks_for(SimpleNamespace(limited=False, examples=False, rows=10, repeat=1, memory_scale=memory_scale, queries=queries, formats=formats, compared_only=False,
                                          peers=peers))

    def test_results_of_each_kind(self):
        self.assertEqual([(block.query, block.mode) for block in self.blocks("1A", "2B", "3C")],
                         [("1A", WRITTEN), ("2B", HELD), ("2B", WRITTEN), ("3C", HELD)])

    def test_what_an_engine_cannot_read_is_a_case_with_the_reason(self):
        [block] = self.blocks("1A", formats=("packed",), peers=("polars", "duckdb", "millrace"))
        self.assertEqual([(case.engine, case.setting) for case in block.cases if case.cannot], [("polars", "2 threads"), ("duckdb", "2 threads")])
        self.assertEqual(self.blocks("1A", formats=("packed",), peers=("polars",)), [], "nobody is left to run")

    def test_the_crawl_is_text_and_read_once(self):
        [block] = self.blocks("4", formats=("csv", "parquet", "packed"), peers=("duckdb", "polars", "millrace"))
        self.assertEqual((block.format, block.mode, block.tables), ("csv", HELD, ("documents",)))
        self.assertEqual([bool(case.cannot) for case in block.cases], [False, True, False])

    def test_tables(self):
        self.assertEqual([block.tables for block in self.blocks("1C", "3A")], [("rankings",), ("rankings", "uservisits")])

    def test_formats(self):
        blocks = self.blocks("2A", formats=("csv", "parquet", "packed"))
        self.assertEqual([(block.format, block.mode) for block in blocks],
                         [("csv", HELD), ("csv", WRITTEN), ("parquet", HELD), ("parquet", WRITTEN), ("packed", HELD)])
        self.assertEqual([case.setting for case in blocks[-1].cases], ["2 threads, parquet", "2 threads, native", "-w 2", "2 threads"])
        self.assertEqual(parse(["--formats", "Packed,csv"]).formats, ("csv", "packed"))

    def test_only_what_is_read_is_made(self):
        self.assertEqual(formats_of(self.blocks("2A")), ("csv",))
        self.assertEqual(formats_of(self.blocks("2A", formats=("packed",))), ("parquet", "packed"), "DuckDB reads Parquet beside them")
        larger = [block for block in self.blocks("2A", memory_scale=4, formats=("csv", "packed")) if block.rows == 40]
        self.assertEqual(formats_of(larger), ("csv",))

    def test_memory_scale_needs_its_query(self):
        self.assertEqual([block.rows for block in self.blocks("3A", memory_scale=4)], [10])
        self.assertEqual([block.rows for block in self.blocks("2A", memory_scale=4)], [10, 10, 40])

    def test_queries_are_named_in_any_way(self):
        self.assertEqual(parse(["--queries", "3a, 1B"]).queries, ("1B", "3A"))
        self.assertEqual(len(parse([]).queries), 10)


if __name__ == "__main__":
    unittest.main()
