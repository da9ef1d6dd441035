# Prints the rows of a table of a lake, as delta-rs sees it: the columns that are named, joined by "|", null as nothing.
# lake.py URL OPTIONS COLUMN...
import json
import sys

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

url, options, columns = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
try:
    rows = DeltaTable(url, storage_options=options).to_pyarrow_table(columns=columns)
except TableNotFoundError:
    sys.exit()
for row in zip(*(column.to_pylist() for column in rows.columns)):
    print("|".join("" if value is None else str(value) for value in row))
