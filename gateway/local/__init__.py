"""
The embedded stack: real Kafka, PostgreSQL and MLflow for one home, started, supervised and stopped.

- `stack`: what `gateway up | down | status` call. `home`: the folder of a stack. `addresses`, `ports`: where its
  servers listen.
- `command`: a process to start. `connectivity`: checks of servers that run elsewhere. `logs`: log files of a stack.
- `progress`: reports of long work. `servers/`, `supervision/`, `demo/`.
"""
