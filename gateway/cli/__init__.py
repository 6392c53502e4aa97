"""
The `gateway` command.

- `main`: the command and its groups; commands of other distributions and of consumers/ come through the entry-point
  group `gateway.commands`, and `plugin_help` reads their summaries without importing them.
- `stack`: up, down, logs, demo. `status`: processes, lag and trackers. `doctor`: settings and what cannot be reached.
  `sync`: journals of ended processes. `node_agent`: those of living ones. `imports`: what other tools recorded.
- `runs`: list, show, tail. `run_log`: one run for people. `edits`: delete, rename, tag; `lookup` finds the runs
  and names in their arguments. `registry/`: experiments and models. `reading/`: search, compare,
  series, export, MCP. `artifacts`: files of runs.
- `tokens`: who may use the servers.
"""
