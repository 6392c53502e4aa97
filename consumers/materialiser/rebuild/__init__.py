"""
`gateway rebuild`: fold the log again with the same worker, into the schema `gateway_rebuild`.

- `refold`: folds up to the live workers' offsets. `rebuild`: then, while no offset can move, folds the last records
  and switches the tables in one transaction; views and grants stay. The statement that moves an offset also reports
  which tables it writes to, so a worker that holds rows of the old tables loads them again. `--check` compares both
  in one snapshot, byte for byte. Tables that do not come from the log stay in place.
"""
