"""The examples that have tables of their own, as engines are asked them: their tables, and their text for engines that read SQL.

The text is the same for everyone but for functions that engines name differently; one that lacks such a function fails by name. Means are of exact sums: AVG of decimals
has few places in some engines. `$log` stands for what can stand after FROM, `$level` for a function.
"""

import math
import re
from dataclasses import dataclass

MONEY = "DECIMAL(15, 2)"
TPCH = {
    "lineitem": {
        "l_orderkey": "BIGINT", "l_partkey": "BIGINT", "l_suppkey": "BIGINT", "l_linenumber": "BIGINT", "l_quantity": MONEY,
        "l_extendedprice": MONEY, "l_discount": MONEY, "l_tax": MONEY, "l_returnflag": "VARCHAR", "l_linestatus": "VARCHAR",
        "l_shipdate": "DATE", "l_commitdate": "DATE", "l_receiptdate": "DATE", "l_shipinstruct": "VARCHAR", "l_shipmode": "VARCHAR",
        "l_comment": "VARCHAR", "behind": "VARCHAR",
    },
    "orders": {
        "o_orderkey": "BIGINT", "o_custkey": "BIGINT", "o_orderstatus": "VARCHAR", "o_totalprice": MONEY, "o_orderdate": "DATE",
        "o_orderpriority": "VARCHAR", "o_clerk": "VARCHAR", "o_shippriority": "BIGINT", "o_comment": "VARCHAR", "behind": "VARCHAR",
    },
    "customer": {
        "c_custkey": "BIGINT", "c_name": "VARCHAR", "c_address": "VARCHAR", "c_nationkey": "BIGINT", "c_phone": "VARCHAR",
        "c_acctbal": MONEY, "c_mktsegment": "VARCHAR", "c_comment": "VARCHAR", "behind": "VARCHAR",
    },
}
MADE = {
    "log": {"line": "VARCHAR"},
    "clicks": {"u": "VARCHAR", "clicked": "BIGINT", "page": "VARCHAR"},
    "titles": {"id": "INTEGER", "title": "VARCHAR"},
}
# What stands between fields; a line of the log or of a crawl is one field, so this is a byte that no line has.
DELIMITERS = dict.fromkeys(("log", "documents"), "\x01") | dict.fromkeys(TPCH, "|")
# What engines name differently, by the engine whose name it is; None is of all others.
FUNCTIONS = {
    "level": {
        None: "regexp_extract(line, ' ([A-Z]+)', 1)",
        "datafusion": "regexp_match(line, ' ([A-Z]+)')[1]",
    },
    "word": {
        None: "unnest(string_split(lower(title), ' '))",
        "datafusion": "unnest(string_to_array(lower(title), ' '))",
        "chdb": "arrayJoin(splitByChar(' ', lower(title)))",
        "spark": "explode(split(lower(title), ' '))",
    },
}
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Example:
    """One example: the tables it reads, the columns of its answer, those of them that no two rows share, and its SQL, whose ORDER BY leaves no two rows equal."""

    tables: tuple
    columns: tuple
    key: tuple
    sql: str

    @property
    def origin(self):
        """Which set of tables it reads."""
        return "tpch" if self.tables[0] in TPCH else "made"

    def select(self, *tables, engine=None):
        """The statement; the tables are given as what can stand after FROM."""
        named = dict(zip(self.tables, tables, strict=True))
        named |= {name: words.get(engine, words[None]) for name, words in FUNCTIONS.items()}
        return re.sub(r"\$(\w+)", lambda found: named[found[1]], self.sql)

    def rows(self, found):
        """Rows of an answer as everyone's compare, in the order of the key: of engines that keep answers in tables, which have none."""
        places = [self.columns.index(column) for column in self.key]
        return sorted(ordered(found), key=lambda row: [row[place] for place in places])


def ordered(found):
    """Rows of an answer as everyone's compare, in their order: numbers of any kind as floats, days as text."""
    return [[plain(value) for value in row] for row in found]


def plain(value):
    """A value without what differs between engines: some give decimals as text, others as numbers."""
    if value is None:
        return None
    if isinstance(value, str):
        return float(value) if NUMBER.fullmatch(value) else value
    return value.isoformat() if hasattr(value, "isoformat") else float(value)


EXAMPLES = {
    "error_rates": Example(("log",), ("minute", "lines", "errors", "rate"), ("minute",), """
        SELECT minute, COUNT(*) AS lines, SUM(error) AS errors, SUM(error) / CAST(COUNT(*) AS DOUBLE) AS rate
        FROM (SELECT substr(line, 1, 16) AS minute,
                     CASE WHEN $level IN ('ERROR', 'FATAL') THEN 1 ELSE 0 END AS error
              FROM $log WHERE line LIKE '____-__-__T__:__:%') AS parsed
        GROUP BY minute ORDER BY minute"""),
    "sessions": Example(("clicks",), ("sessions", "users"), ("sessions",), """
        SELECT sessions, COUNT(*) AS users
        FROM (SELECT u, SUM(s) AS sessions
              FROM (SELECT u, CASE WHEN clicked - LAG(clicked) OVER (PARTITION BY u ORDER BY clicked) <= 1800 THEN 0 ELSE 1 END AS s
                    FROM $clicks) AS starts
              GROUP BY u) AS per_user
        GROUP BY sessions ORDER BY sessions"""),
    "visitors": Example(("clicks",), ("page", "users"), ("page",), """
        SELECT page, COUNT(DISTINCT u) AS users FROM $clicks GROUP BY page ORDER BY page"""),
    "similar_titles": Example(("titles",), ("a", "b", "similarity"), ("a", "b"), """
        WITH words AS (SELECT DISTINCT id, $word AS word FROM $titles),
             sizes AS (SELECT id, COUNT(*) AS n FROM words GROUP BY id),
             shared AS (SELECT p.id AS a, q.id AS b, COUNT(*) AS n FROM words AS p JOIN words AS q ON p.word = q.word AND p.id < q.id GROUP BY p.id, q.id)
        SELECT a, b, CAST(shared.n AS DOUBLE) / (x.n + y.n - shared.n) AS similarity
        FROM shared JOIN sizes AS x ON x.id = a JOIN sizes AS y ON y.id = b
        WHERE shared.n * 100 >= 60 * (x.n + y.n - shared.n) ORDER BY a, b"""),
    "tpch_q1": Example(
        ("lineitem",),
        ("flag", "status", "quantity", "price", "discounted", "charge", "mean quantity", "mean price", "mean discount", "count"),
        ("flag", "status"), """
        SELECT l_returnflag, l_linestatus, SUM(l_quantity) AS quantity, SUM(l_extendedprice) AS price,
               SUM(l_extendedprice * (1 - l_discount)) AS discounted, SUM(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS charge,
               CAST(SUM(l_quantity) AS DOUBLE) / COUNT(*) AS mean_quantity, CAST(SUM(l_extendedprice) AS DOUBLE) / COUNT(*) AS mean_price,
               CAST(SUM(l_discount) AS DOUBLE) / COUNT(*) AS mean_discount, COUNT(*) AS n
        FROM $lineitem WHERE l_shipdate <= DATE '1998-09-02' GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus"""),
    "tpch_q3": Example(("customer", "orders", "lineitem"), ("order", "revenue", "date", "priority"), ("order",), """
        SELECT l_orderkey, SUM(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
        FROM $customer AS c JOIN $orders AS o ON c.c_custkey = o.o_custkey JOIN $lineitem AS l ON l.l_orderkey = o.o_orderkey
        WHERE c_mktsegment = 'BUILDING' AND o_orderdate < DATE '1995-03-15' AND l_shipdate > DATE '1995-03-15'
        GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate, l_orderkey LIMIT 10"""),
    "tpch_q6": Example(("lineitem",), ("revenue",), (), """
        SELECT SUM(l_extendedprice * l_discount) AS revenue FROM $lineitem
        WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1995-01-01'
          AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24"""),
    "tpch_q18": Example(("customer", "orders", "lineitem"), ("customer", "number", "order", "date", "price", "pieces"), ("order",), """
        SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, SUM(l_quantity) AS pieces
        FROM $customer AS c JOIN $orders AS o ON c.c_custkey = o.o_custkey JOIN $lineitem AS l ON o.o_orderkey = l.l_orderkey
        GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice HAVING SUM(l_quantity) > 300
        ORDER BY o_totalprice DESC, o_orderdate, o_orderkey LIMIT 100"""),
}


def tables(example):
    """The tables of an example, with the columns of each."""
    return {name: (TPCH | MADE)[name] for name in EXAMPLES[example].tables}


def difference(expected, found):
    """What is wrong with the rows of an answer, or None. Engines divide and add floats in different ways, so numbers count to twelve digits."""
    if len(expected) != len(found):
        return f"{len(found):,} rows, expected {len(expected):,}"
    for right, row in zip(expected, found):
        if len(right) != len(row) or not all(map(same, right, row)):
            return f"the answer has {row}, expected {right}"
    return None


def same(one, other):
    """Whether two values are."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12)
    return one == other
