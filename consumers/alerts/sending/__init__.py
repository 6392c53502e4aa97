"""
Send alerts: messages of the outbox to the targets of a file.

- `targets`: the file of targets. `forms`: what a message says. `senders`: webhook, Slack, e-mail, log. `dispatch`: a
  worker for each target, so that a slow one delays no other.
"""
