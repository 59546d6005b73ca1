"""The queries on DataFusion: a running session, timed from the text of the query to the materialised result."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import queries  # noqa: E402
import statements  # noqa: E402
from session import table_folder  # noqa: E402
from sql import serve_sql  # noqa: E402


class DataFusion:
    """A session context with the tables declared. The held result is an Arrow table."""

    dialect = "datafusion"

    def __init__(self, options):
        import datafusion

        self.options = options
        config = datafusion.SessionConfig().with_target_partitions(options.workers)
        # Parquet files have their columns' names as they are, not in lower case.
        config = config.set("datafusion.sql_parser.enable_ident_normalization", "false")
        self.context = datafusion.SessionContext(config)
        self.tables = tuple(statements.tables(options.query))
        for table, columns in statements.tables(options.query).items():
            self.declare(table, columns, f"{table_folder(options, table)}/", options.format)

    def declare(self, table, columns, folder, form="csv"):
        self.clear(table)
        if form == "parquet":
            self.context.sql(f"CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION '{folder}'")
            return
        declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        self.context.sql(f"CREATE EXTERNAL TABLE {table} ({declared}) STORED AS CSV LOCATION '{folder}' "
                         f"OPTIONS ('format.has_header' 'false', 'format.delimiter' '{statements.delimiter(table)}')")

    def clear(self, table="result"):
        self.context.sql(f"DROP TABLE IF EXISTS {table}")

    def hold(self, query):
        self.context.register_record_batches("result", [self.context.sql(query).collect()])

    def write(self, query, folder):
        self.context.sql(f"COPY ({query}) TO '{folder}/' STORED AS CSV OPTIONS ('format.has_header' 'false')").collect()

    def written(self, folder):
        self.declare("written", queries.result_columns(self.options.query), f"{folder}/")
        return "written"

    def fetch(self, query):
        return [tuple(row.values()) for row in self.context.sql(query).to_pylist()]


if __name__ == "__main__":
    serve_sql(DataFusion)
