"""
`gateway mcp`: what an AI agent may ask about runs, as tools of the Model Context Protocol.

The tools read through `gateway.read`, so they say what it says: `exact`, `count`, `offset`. SKILL.md, which is in the
wheel, tells an agent how to use them.

- `server`: the one file that imports the SDK. `tools`, `series_tools`, `run_tools`: the tools. `budget`: answers that
  fit a number of tokens. `links`: addresses of dashboard pages.
- `diagnosis`: what is wrong with a series; pure. `conditions`, `waiting`: wait on the stream until something holds.
"""
