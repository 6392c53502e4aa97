"""
`gateway runs search | compare | diverge | series | console | export`, and `gateway mcp`.

- `commands`: the commands that print, over `gateway.read`. `tables`: how they look. `export`: into files. `complete`:
  completion of names. `agents`: the MCP server.
"""
