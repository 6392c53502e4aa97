"""
The `gateway` commands that need this side's code; `gateway` finds them through the entry-point group
`gateway.commands`.

- `rebuild`, `replay`, `verify`, `trackers`, `retention`: one command or group each; `dead_letters/` has `gateway
  dead-letters`.
- `options`: options that commands share. `database`: one way to connect. `output`: one way to print, for people and
  as JSON.
"""
