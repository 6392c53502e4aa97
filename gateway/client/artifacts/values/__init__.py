"""
Files from values: what `run.log_text`, `log_dict`, `log_figure`, `log_image` and `log_table` store.

Each writer takes a value and the path of a file to write, whose suffix names the format. It runs in the caller's
thread, because the value may change afterwards. It raises Refused for a value or a format that it cannot write, and for
a library that is missing. A value is recognised by what its class carries: no library is imported to look at one.

- `documents`: text, and JSON or YAML of any value. `figures`: figures of matplotlib and Plotly.
- `images`: PIL images and arrays. `tables`: data frames, columns and rows.
"""
