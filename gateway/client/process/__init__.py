"""
What forks, signals and child processes do to a client.

- `inheritance`: puts the run into the environment for child processes, and reads rank and attempt there. `signals`:
  SIGTERM ends runs. `forks`: a child starts without the parent's locks and journals.
- `owner`: the name of a process by which others can prove that it is gone.
"""
