"""The queries on DuckDB: a running session, timed from the query's text to the materialised result."""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import queries  # noqa: E402
from session import serve, table_folder, timed  # noqa: E402


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


def files(pattern, columns):
    """CSV files as what can stand after FROM."""
    return (f"read_csv('{pattern}', columns = {columns}, header = false, delim = ',', quote = '', escape = '', "
            "auto_detect = false)")


def tables(options):
    """Both tables, for queries.select."""
    return (files(table_folder(options, "rankings") / "*", queries.RANKINGS),
            files(table_folder(options, "uservisits") / "*", queries.USERVISITS))


def run(connection, options):
    """One timed query, then, untimed, what is needed to compare answers."""
    query = queries.select(options.query, options.top, *tables(options))
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
    _, result = timed(lambda: connection.execute(statement))
    return result | {"answer": answer(connection, options)}


def answer(connection, options):
    """Size, totals and top of the result."""
    columns = queries.result_columns(options.query)
    if options.fold:
        groups, revenue, revenues, prefixes = connection.execute("FROM result").fetchone()
        top = [{"prefix": prefix, "revenue": sum_} for prefix, sum_ in zip(prefixes, revenues)]
        return {"groups": groups, "revenue": revenue, "top": top}
    result = files(options.write / "*.csv", columns) if options.write else "result"
    key, number, *_ = columns
    top = connection.execute(f"SELECT * FROM {result} ORDER BY {number} DESC, {key} LIMIT {options.top}").fetchall()
    answer = {"top": [dict(zip(columns, row)) for row in top]}
    if options.query in queries.THRESHOLDS:
        [answer["groups"]] = connection.execute(f"SELECT count(*) FROM {result}").fetchone()
    elif options.query in queries.PREFIXES:
        answer["groups"], answer["revenue"] = connection.execute(
            f"SELECT count(*), coalesce(sum(revenue), 0) FROM {result}").fetchone()
    else:
        groups = queries.addresses(options.query, *tables(options))
        answer["groups"], answer["visits"] = connection.execute(
            f"SELECT count(*), CAST(coalesce(sum(visits), 0) AS BIGINT) FROM ({groups})").fetchone()
    return answer


if __name__ == "__main__":
    serve(start, run)
