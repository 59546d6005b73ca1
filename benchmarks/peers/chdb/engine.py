"""The queries on ClickHouse inside this process (chdb), timed from the text of the query to the materialised result."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import queries  # noqa: E402
import statements  # noqa: E402
from session import table_folder  # noqa: E402
from sql import serve_sql  # noqa: E402

KINDS = {"VARCHAR": "String", "INTEGER": "Int32", "DATE": "Date", "FLOAT": "Float32", "DOUBLE": "Float64",
         "BIGINT": "Int64", "DECIMAL(15, 2)": "Decimal(15, 2)"}
# CSV of ClickHouse would put quotes around every text; so written, its files are as everyone's.
WRITTEN = "format_custom_field_delimiter = ',', format_custom_escaping_rule = 'Escaped'"


class ClickHouse:
    """A session. The held result is a table of the Memory engine."""

    dialect = "chdb"

    def __init__(self, options):
        from chdb.session import Session

        self.options = options
        self.session = Session()
        self.run(f"SET max_threads = {options.workers}")
        self.run("SET joined_subquery_requires_alias = 0")
        form = {"csv": "CSV", "parquet": "Parquet"}[options.format]
        tables = statements.tables(options.query)
        # One for the session, as all tables of a query have the same.
        self.run(f"SET format_csv_delimiter = '{statements.delimiter(next(iter(tables)))}'")
        self.tables = tuple(files(table_folder(options, table) / "*", form, columns) for table, columns in tables.items())

    def run(self, statement, form="CSV"):
        return self.session.query(statement, form)

    def clear(self):
        self.run("DROP TABLE IF EXISTS result")

    def hold(self, query):
        self.run(f"CREATE TABLE result ENGINE = Memory AS {query}")

    def write(self, query, folder):
        self.run(f"INSERT INTO FUNCTION file('{folder}/part-0.csv', 'CustomSeparated') SELECT * FROM ({query}) SETTINGS {WRITTEN}")

    def written(self, folder):
        return files(folder / "*.csv", "CSV", queries.result_columns(self.options.query))

    def fetch(self, query):
        rows = str(self.run(query, "JSONCompactEachRow")).splitlines()
        return [tuple(json.loads(row)) for row in rows]


def files(pattern, form, columns):
    """Files as what can stand after FROM."""
    declared = ", ".join(f"{name} {KINDS[kind]}" for name, kind in columns.items())
    return f"file('{pattern}', '{form}', '{declared}')"


if __name__ == "__main__":
    serve_sql(ClickHouse)
