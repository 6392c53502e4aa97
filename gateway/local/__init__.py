"""
The embedded stack: real Kafka, PostgreSQL and MLflow for one home, started, watched and stopped.

- `stack`: what `gateway up | down | status` call. `home`: the folder of a stack. `addresses`, `ports`: where its
  parts listen.
- `command`: a command line with its environment. `connectivity`: whether an address answers. `logs`: their files.
- `progress`: what is shown on long work. `servers/`, `supervision/`, `demo/`.
"""
