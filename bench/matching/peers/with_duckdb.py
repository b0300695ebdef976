"""The match as one would write it in DuckDB: with_duckdb.py FOLDER OUT [THREADS]."""

import pathlib
import sys

import duckdb

folder, out, *threads = sys.argv[1:]
sql = pathlib.Path(__file__).with_name("matching.sql").read_text()
with duckdb.connect() as base:
    if threads:
        base.execute(f"set threads = {int(threads[0])}")
    base.execute(sql.format(folder=folder, out=out, now=1_800_000_000, grace=300))
