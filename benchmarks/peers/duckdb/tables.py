"""Makes DuckDB's own tables of a set, beside its other formats: `tables.py DIR SET`."""

import sys
from pathlib import Path

import duckdb


def main(directory, name):
    """Writes DIR/native/SET.duckdb from the Parquet files of the set, whole or not at all."""
    target = Path(directory) / "native" / f"{name}.duckdb"
    if target.exists():
        return "its tables are there"
    target.parent.mkdir(exist_ok=True)
    building = target.with_suffix(".tmp")
    building.unlink(missing_ok=True)
    with duckdb.connect(building) as connection:
        for table in ("rankings", "uservisits"):
            connection.execute(f"CREATE TABLE {table} AS FROM read_parquet('{directory}/parquet/{name}/{table}/*')")
    building.rename(target)
    return f"made its tables: {target.stat().st_size:,} bytes"


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
