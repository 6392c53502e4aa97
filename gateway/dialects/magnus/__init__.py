"""
Magnus (seeds 000, 001 and 002).

- `run_log`: a run log that Magnus wrote, as records of the log. `run_log_check`: what is refused before.
  `run_log_files`: the files of its file-system and chunked stores. `run_log_import`: many of them into the log.
"""
