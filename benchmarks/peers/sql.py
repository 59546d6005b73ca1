"""The session of an engine that reads SQL: what is timed, and what is asked afterwards to compare answers.

An engine is made from the options, which is its start-up, and has

    tables                  those of the query, in the order of statements.tables, as what can stand after FROM
    hold(query)             runs the query and keeps its rows as `result`, in place of an earlier one
    write(query, folder)    runs the query and writes its rows as CSV into the folder, which is absent or empty
    written(folder)         what was written, as what can stand after FROM
    fetch(query)            the rows of a small query, as tuples

and may have `dialect`, its name in examples.FUNCTIONS, `fold(query)`, which keeps no groups and returns the answer by a call, and `processes`, whose memory counts beside ours.
"""

import shutil

import queries
import statements
from examples import EXAMPLES
from session import serve, timed


def serve_sql(engine):
    """Runs the session to its end."""
    serve(engine, run)


def run(engine, options):
    """One timed query, then, untimed, what is needed to compare answers."""
    query = statements.select(options.query, options.top, engine)
    processes = getattr(engine, "processes", ())
    if options.fold:
        folded, result = timed(lambda: engine.fold(query), processes)
        return result | {"answer": folded()}
    if options.write:
        shutil.rmtree(options.write, ignore_errors=True)
        options.write.mkdir(parents=True)
        _, result = timed(lambda: engine.write(query, options.write), processes)
        source = engine.written(options.write)
    else:
        engine.clear()
        _, result = timed(lambda: engine.hold(query), processes)
        source = "result"
    return result | {"answer": answer(engine, options, source)}


def answer(engine, options, source):
    """Size, totals and top of the result; of an example, all of its rows."""
    if options.query in EXAMPLES:
        rows = EXAMPLES[options.query].rows(engine.fetch(f"SELECT * FROM {source}"))
        return {"groups": len(rows), "table": rows}
    columns = queries.result_columns(options.query)
    key, number, *_ = columns
    top = engine.fetch(f"SELECT {', '.join(columns)} FROM {source} ORDER BY {number} DESC, {key} LIMIT {options.top}")
    found = {"top": [dict(zip(columns, row)) for row in top]}
    if options.query in queries.THRESHOLDS:
        [[found["groups"]]] = engine.fetch(f"SELECT count(*) AS n FROM {source}")
    elif options.query in queries.PREFIXES:
        [[found["groups"], found["revenue"]]] = engine.fetch(f"SELECT count(*) AS n, coalesce(sum(revenue), 0) AS r FROM {source}")
    elif options.query == queries.LINKS:
        [[found["groups"], links]] = engine.fetch(f"SELECT count(*) AS n, coalesce(sum(totalCount), 0) AS l FROM {source}")
        found["links"] = int(links)
    else:
        groups = queries.addresses(options.query, *engine.tables)
        [[found["groups"], visits]] = engine.fetch(f"SELECT count(*) AS n, coalesce(sum(visits), 0) AS v FROM ({groups}) AS g")
        found["visits"] = int(visits)
    return found
