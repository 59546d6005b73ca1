"""The queries on Spark: a warm session of local[N], timed from the text of the query to the materialised result."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import queries  # noqa: E402
import statements  # noqa: E402
from session import table_folder  # noqa: E402
from sql import serve_sql  # noqa: E402


class Spark:
    """A session with the tables declared as views. The held result is a persisted data frame, in memory only."""

    dialect = "spark"

    def __init__(self, options):
        from pyspark.sql import SparkSession

        self.options = options
        self.session = (SparkSession.builder.master(f"local[{options.workers}]")
                        .config("spark.driver.memory", "8g").config("spark.ui.enabled", "false")
                        .config("spark.sql.shuffle.partitions", 4 * options.workers)
                        # Neither Spark nor Java goes by TMPDIR.
                        .config("spark.local.dir", tempfile.gettempdir())
                        .config("spark.driver.extraJavaOptions", f"-Djava.io.tmpdir={tempfile.gettempdir()}")
                        # Stopped between its runs, it must not count as lost.
                        .config("spark.network.timeout", "1d")
                        .config("spark.driver.host", "localhost").getOrCreate())
        self.session.sparkContext.setLogLevel("ERROR")
        self.processes = (self.session._jvm.java.lang.ProcessHandle.current().pid(),)
        self.tables = tuple(statements.tables(options.query))
        for table, columns in statements.tables(options.query).items():
            self.declare(table, columns, table_folder(options, table), options.format)
        self.held = None

    def declare(self, table, columns, folder, form="csv"):
        if form == "parquet":
            self.session.read.parquet(str(folder)).createOrReplaceTempView(table)
            return
        declared = ", ".join(f"{name} {kind.replace('VARCHAR', 'STRING')}" for name, kind in columns.items())
        self.session.read.schema(declared).option("quote", "").option("sep", statements.delimiter(table)).csv(str(folder)).createOrReplaceTempView(table)

    def clear(self):
        if self.held is not None:
            self.held.unpersist(blocking=True)
            self.held = None

    def hold(self, query):
        from pyspark import StorageLevel

        self.held = self.session.sql(query).persist(StorageLevel.MEMORY_ONLY)
        self.held.count()
        self.held.createOrReplaceTempView("result")

    def write(self, query, folder):
        self.session.sql(query).write.mode("overwrite").option("quote", "").csv(str(folder))

    def written(self, folder):
        self.declare("written", queries.result_columns(self.options.query), folder)
        return "written"

    def fetch(self, query):
        return [tuple(row) for row in self.session.sql(query).collect()]


if __name__ == "__main__":
    serve_sql(Spark)
