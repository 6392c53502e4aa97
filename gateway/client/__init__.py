"""
What runs inside training: standard library only at import, and never a module of schemas/ or consumers/.

    emit() ─> run/ ─> recording/ ─> journal/ ─> shipping/ (a thread) ─> transports/ ─> the log
              capture/ records around it         encoding/ writes values and columns

- `address`: where to send: an argument, `GATEWAY_URL`, `gateway.toml`, or the local stack's `stack.json`
  (`stack_file`).
- `guards`: nothing that callers pass can raise. `errors`: what may be raised. `notices`: warnings, each once. `ids`:
  new ids.
- `query`: reads of the query API. `registry/`: experiments and models. `process/`: forks, signals and child processes.
"""
