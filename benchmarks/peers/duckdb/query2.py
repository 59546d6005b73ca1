"""Query 2 on DuckDB: a running session, timed from the query's text to the materialised result."""

import resource
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from session import serve  # noqa: E402

COLUMNS = {
    "sourceIP": "VARCHAR", "destURL": "VARCHAR", "visitDate": "DATE", "adRevenue": "FLOAT", "userAgent": "VARCHAR",
    "countryCode": "VARCHAR", "languageCode": "VARCHAR", "searchWord": "VARCHAR", "duration": "INTEGER",
}


def start(options):
    """Opens an in-memory database. The settings are those README.md found fastest for DuckDB."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {options.workers}")
    connection.execute("SET preserve_insertion_order = false")
    if options.memory_bytes:
        connection.execute(f"SET memory_limit = '{options.memory_bytes}B'")
        connection.execute(f"SET temp_directory = '{options.spill}'")
    return connection


def run(connection, options):
    """One timed query, then, untimed, what is needed to compare answers."""
    files = str(options.data / "csv" / options.set / "uservisits" / "*")
    query = f"""
        SELECT substr(sourceIP, 1, {options.prefix}) AS prefix, sum(adRevenue::DOUBLE) AS revenue
        FROM read_csv('{files}', columns = {COLUMNS}, header = false, delim = ',', quote = '', escape = '',
                      auto_detect = false)
        GROUP BY 1"""
    connection.execute("DROP TABLE IF EXISTS result")
    if options.write:
        shutil.rmtree(options.write, ignore_errors=True)
        statement = f"COPY ({query}) TO '{options.write}' (FORMAT csv, HEADER false, PER_THREAD_OUTPUT true)"
    elif options.fold:
        statement = f"""
            CREATE TABLE result AS SELECT count(*) AS groups, coalesce(sum(revenue), 0) AS revenue,
            max(revenue, {options.top}) AS revenues, arg_max(prefix, revenue, {options.top}) AS prefixes FROM ({query})"""
    else:
        statement = f"CREATE TABLE result AS {query}"
    reset_peak()
    begin = time.perf_counter()
    connection.execute(statement)
    seconds = time.perf_counter() - begin
    peak = peak_rss_bytes()
    return {"seconds": seconds, "peak_rss_bytes": peak, "answer": answer(connection, options)}


def answer(connection, options):
    """Number of groups, total and top of the result."""
    result = "result"
    if options.fold:
        groups, revenue, revenues, prefixes = connection.execute("FROM result").fetchone()
        top = [{"prefix": prefix, "revenue": sum_} for prefix, sum_ in zip(prefixes, revenues)]
        return {"groups": groups, "revenue": revenue, "top": top}
    if options.write:
        result = (f"read_csv('{options.write}/*.csv', columns = {{'prefix': 'VARCHAR', 'revenue': 'DOUBLE'}}, "
                  "header = false, delim = ',', quote = '', auto_detect = false)")
    groups, revenue = connection.execute(f"SELECT count(*), coalesce(sum(revenue), 0) FROM {result}").fetchone()
    top = connection.execute(
        f"SELECT prefix, revenue FROM {result} ORDER BY revenue DESC, prefix LIMIT {options.top}").fetchall()
    return {"groups": groups, "revenue": revenue, "top": [{"prefix": key, "revenue": sum_} for key, sum_ in top]}


def reset_peak():
    """Forgets the peak of earlier rounds, where the system allows it (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_rss_bytes():
    """Most resident memory of this process since reset_peak, or ever."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    serve(start, run)
