# Reads tables of a lake for the tests, as others do: the log by delta-rs, rows by DuckDB. A request and its answer are a line of JSON each.
import json
import sys

import duckdb
from deltalake import DeltaTable

database = duckdb.connect()


def answer(request):
    table = DeltaTable(request["url"], storage_options=request["options"])
    if request["what"] == "files":
        return sorted(table.file_uris())
    if request["what"] == "version":
        return table.version()
    if request["what"] == "columns":
        return [field.name for field in table.schema().fields]
    database.register("notes", table.to_pyarrow_table())
    names = request["columns"] or [field.name for field in table.schema().fields]
    shown = ", ".join(f'CAST("{name}" AS VARCHAR)' for name in names)
    return [list(row) for row in database.execute(f"SELECT {shown} FROM notes ORDER BY id").fetchall()]


for line in sys.stdin:
    try:
        reply = {"answer": answer(json.loads(line))}
    except Exception as error:  # the test that asked shows it
        reply = {"error": repr(error)}
    print(json.dumps(reply), flush=True)
