"""
`gateway.chart(run, "loss")`: a live chart of series in Jupyter, VS Code and marimo.

Part of the full distribution, with the extra `notebook` (anywidget). The JavaScript is built from dashboard/ into
`static/`, is part of the wheel, and asks for nothing outside the notebook: Python reads the API and gives the points to
the page as binary columns.

- `charts`: `chart()`. `widget`: the one file that imports anywidget. `reading`: questions to the API. `feed`: the
  thread that follows its stream. `curves`: what is held of each series, bounded; pure. `frames`: the binary form of
  curves; pure.
"""
