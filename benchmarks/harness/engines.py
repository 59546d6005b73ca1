"""The engines that are measured: as readers know them, and as pictures show them."""

OURS = "millrace"
NAMES = {OURS: "Millrace", "duckdb": "DuckDB", "polars": "Polars", "datafusion": "DataFusion", "chdb": "ClickHouse", "spark": "Spark"}
OTHERS = tuple(engine for engine in NAMES if engine != OURS)
# On light and on dark ground: colours that can be told apart, also by those who see no red or no green (Okabe and Ito, 2008, darkened for light ground).
COLOURS = {
    OURS: ("#0072b2", "#56b4e9"), "duckdb": ("#b85000", "#f0a255"), "polars": ("#00805c", "#5cc98f"),
    "datafusion": ("#a8457f", "#e79ac4"), "chdb": ("#7a6a00", "#d9c74a"), "spark": ("#5a6472", "#a3adbc"),
}


def named(engine):
    """An engine's name; one that is not known here goes by that of its folder."""
    return NAMES.get(engine, engine)
