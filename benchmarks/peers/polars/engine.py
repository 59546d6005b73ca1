"""The queries on Polars: its lazy frames by way of its SQL, on the streaming engine, timed from the text to the materialised result."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import queries  # noqa: E402
import statements  # noqa: E402
from session import table_folder  # noqa: E402
from sql import serve_sql  # noqa: E402


class Polars:
    """Lazy frames of the tables. The held result is a data frame."""

    def __init__(self, options):
        # Polars reads it once, when it is imported.
        os.environ["POLARS_MAX_THREADS"] = str(options.workers)
        import polars

        self.polars, self.options = polars, options
        self.tables = tuple(statements.tables(options.query))
        self.frames = {table: self.scan(table_folder(options, table) / "*", columns, options.format, statements.delimiter(table))
                       for table, columns in statements.tables(options.query).items()}

    def scan(self, pattern, columns, form="csv", delimiter=","):
        if form == "parquet":
            return self.polars.scan_parquet(pattern)
        kinds = {"VARCHAR": self.polars.String, "INTEGER": self.polars.Int32, "DATE": self.polars.Date,
                 "FLOAT": self.polars.Float32, "DOUBLE": self.polars.Float64,
                 "BIGINT": self.polars.Int64, "DECIMAL(15, 2)": self.polars.Decimal(15, 2)}
        return self.polars.scan_csv(pattern, has_header=False, quote_char=None, separator=delimiter,
                                    schema={name: kinds[kind] for name, kind in columns.items()})

    def lazy(self, query):
        return self.polars.SQLContext(self.frames, eager=False).execute(query)

    def clear(self):
        self.frames.pop("result", None)

    def hold(self, query):
        self.frames["result"] = self.lazy(query).collect(engine="streaming").lazy()

    def write(self, query, folder):
        self.lazy(query).sink_csv(folder / "part-0.csv", include_header=False, engine="streaming")

    def written(self, folder):
        self.frames["written"] = self.scan(folder / "*.csv", queries.result_columns(self.options.query))
        return "written"

    def fetch(self, query):
        return self.lazy(query).collect(engine="streaming").rows()


if __name__ == "__main__":
    serve_sql(Polars)
