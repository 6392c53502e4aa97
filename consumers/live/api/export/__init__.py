"""
Downloads of exact data of any size: points and runs as CSV, Parquet or an Arrow stream.

- `routes`: the endpoints. `response`: an answer that is sent while it is read. `csv_form`, `arrow_form`: blocks
  as bytes.
"""
