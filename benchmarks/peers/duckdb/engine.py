"""The queries on DuckDB: a running session, timed from the query's text to the materialised result."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import queries  # noqa: E402
import statements  # noqa: E402
from session import table_folder  # noqa: E402
from sql import serve_sql  # noqa: E402


class DuckDB:
    """An in-memory database. The settings are those README.md found fastest for DuckDB."""

    def __init__(self, options):
        import duckdb

        self.options = options
        native = options.format == "native"
        self.connection = duckdb.connect(options.data / "native" / f"{options.set}.duckdb", read_only=True) if native else duckdb.connect()
        self.connection.execute(f"SET threads = {options.workers}")
        self.connection.execute("SET preserve_insertion_order = false")
        if options.memory_bytes:
            self.connection.execute(f"SET memory_limit = '{options.memory_bytes}B'")
            self.connection.execute(f"SET temp_directory = '{options.spill}'")
        self.tables = tuple(table if native else files(table_folder(options, table) / "*", columns, options.format, statements.delimiter(table))
                            for table, columns in statements.tables(options.query).items())

    def clear(self):
        self.connection.execute("DROP TABLE IF EXISTS result")

    def hold(self, query):
        self.connection.execute(f"CREATE TEMP TABLE result AS {query}")

    def write(self, query, folder):
        self.connection.execute(f"COPY ({query}) TO '{folder}' (FORMAT csv, HEADER false, PER_THREAD_OUTPUT true)")

    def written(self, folder):
        return files(folder / "*.csv", queries.result_columns(self.options.query))

    def fetch(self, query):
        return self.connection.execute(query).fetchall()

    def fold(self, query):
        top = self.options.top
        found = self.connection.execute(
            f"SELECT count(*), coalesce(sum(revenue), 0), max(revenue, {top}), arg_max(prefix, revenue, {top}) "
            f"FROM ({query})").fetchone()
        groups, revenue, revenues, prefixes = found
        return lambda: {"groups": groups, "revenue": revenue,
                        "top": [{"prefix": prefix, "revenue": sum_} for prefix, sum_ in zip(prefixes, revenues)]}


def files(pattern, columns, form="csv", delimiter=","):
    """Files as what can stand after FROM."""
    if form == "parquet":
        return f"read_parquet('{pattern}')"
    return (f"read_csv('{pattern}', columns = {columns}, header = false, delim = '{delimiter}', quote = '', escape = '', "
            "auto_detect = false)")


if __name__ == "__main__":
    serve_sql(DuckDB)
