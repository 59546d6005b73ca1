"""What an engine declares and is asked, be it a query of the benchmark or an example."""

import examples
import queries
from examples import EXAMPLES


def tables(query):
    """The tables that an engine declares for a query, with the columns of each."""
    return examples.tables(query) if query in EXAMPLES else queries.tables(query)


def delimiter(table):
    """What stands between the fields of a table's text."""
    return examples.DELIMITERS.get(table, ",")


def select(query, top, engine):
    """The statement of a query for an engine, whose tables are what can stand after FROM."""
    dialect = getattr(engine, "dialect", None)
    if query in EXAMPLES:
        return EXAMPLES[query].select(*engine.tables, engine=dialect)
    return queries.select(query, top, *engine.tables, engine=dialect)
