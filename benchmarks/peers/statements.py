"""What an engine declares and is asked, be it a query of the benchmark or an example."""

import examples
import queries
from examples import EXAMPLES


def tables(query):
    """The tables that an engine declares for a query, with the columns of each."""
    return examples.tables(query) if query in EXAMPLES else {"rankings": queries.RANKINGS, "uservisits": queries.USERVISITS}


def delimiter(table):
    """What stands between the fields of a table's text."""
    return examples.DELIMITERS.get(table, ",")


def select(query, top, declared):
    """The statement of a query; its tables are given as what can stand after FROM."""
    return EXAMPLES[query].select(*declared) if query in EXAMPLES else queries.select(query, top, *declared)
