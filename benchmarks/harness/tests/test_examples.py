"""The examples as cases: would catch an answer that differs and passes, equal answers told apart by the kind of their numbers, and a case that is left out."""

import datetime
import decimal
import unittest

from harness import answers
from harness.cases import HELD, blocks_for
from harness.options import SMOKE_EXAMPLE_ROWS, parse
from peers import examples
from peers.examples import EXAMPLES


class Rows(unittest.TestCase):
    def test_kinds_of_numbers_and_the_order_of_rows_do_not_count(self):
        example = EXAMPLES["tpch_q3"]
        ours = example.rows([[7, "10.5", "1995-03-01", 0], [5, "2E1", "1995-03-02", 0]])
        theirs = example.rows([("5", decimal.Decimal("20.00"), datetime.date(1995, 3, 2), 0), ("7", 10.5, datetime.date(1995, 3, 1), 0)])
        self.assertEqual(ours, [[5.0, 20.0, "1995-03-02", 0.0], [7.0, 10.5, "1995-03-01", 0.0]])
        self.assertEqual(ours, theirs)

    def test_differences(self):
        right = [["a", 0.1 + 0.2], ["b", 1.0]]
        self.assertIsNone(examples.difference(right, [["a", 0.3], ["b", 1.0]]))
        self.assertEqual(examples.difference(right, right[:1]), "1 rows, expected 2")
        for wrong in (["a", 0.3001], ["c", 0.3], ["a", None], ["a"]):
            self.assertEqual(examples.difference(right, [wrong, right[1]]), f"the answer has {wrong}, expected {right[0]}")

    def test_another_order_is_a_difference(self):
        right, swapped = [("a", 1), ("b", 2)], [["b", "2"], ["a", "1"]]
        self.assertIsNone(examples.difference(examples.ordered(right), examples.ordered([["a", "1"], ["b", "2"]])))
        self.assertEqual(examples.difference(examples.ordered(right), examples.ordered(swapped)), "the answer has ['b', 2.0], expected ['a', 1.0]")

    def test_orders_are_total(self):
        # Otherwise DuckDB's order of equals would count.
        for name, example in EXAMPLES.items():
            order = example.sql.rsplit("ORDER BY", 1)[1] if example.key else ""
            for column in example.key:
                key = {"flag": "l_returnflag", "status": "l_linestatus", "order": "orderkey"}.get(column, column)
                self.assertIn(key, order, name)

    def test_the_harness_compares_and_hashes_all_rows(self):
        right = {"groups": 2, "table": [["a", 0.1 + 0.2], ["b", 1.0]]}
        same, other = right | {"table": [["a", 0.3], ["b", 1.0]]}, right | {"table": [["a", 0.3], ["b", 2.0]]}
        self.assertEqual(answers.differences(right, same), [])
        self.assertEqual(answers.digest(right), answers.digest(same))
        self.assertEqual(len(answers.differences(right, other)), 1)
        self.assertNotEqual(answers.digest(right), answers.digest(other))
        self.assertEqual(answers.differences(right, {"groups": 2}), ["0 rows, expected 2"])

    def test_statements_name_every_table(self):
        for name, example in EXAMPLES.items():
            statement = example.select(*(f"[{table}]" for table in example.tables))
            self.assertTrue(all(f"[{table}]" in statement for table in example.tables), name)
            self.assertNotIn("$", statement)
            self.assertEqual(tuple(examples.tables(name)), example.tables)
            named = example.select(*example.tables, engine="chdb")
            self.assertEqual("arrayJoin(" in named, name == "similar_titles")
            self.assertTrue(set(example.key) <= set(example.columns), name)


class Blocks(unittest.TestCase):
    def test_every_example_is_a_block_of_all_engines(self):
        options = parse(["--examples", "--smoke", "--peers", "duckdb,millrace,spark"])
        blocks = blocks_for(options)
        self.assertEqual([block.query for block in blocks], list(EXAMPLES))
        self.assertEqual({(block.rows, block.mode, block.format) for block in blocks}, {(SMOKE_EXAMPLE_ROWS, HELD, "csv")})
        for block in blocks:
            self.assertEqual([(case.engine, case.workers) for case in block.cases], [("duckdb", 2), ("millrace", 2), ("spark", 2)])
            self.assertEqual(block.tables, EXAMPLES[block.query].tables)


if __name__ == "__main__":
    unittest.main()
