"""
Routes for charts of series.

- `routes` has the addresses. `charts`: charts of many series and runs. `index`: series without points. `groups`:
  statistics over runs. `histograms`: histograms over steps. `questions`: what their bodies have in common.
"""
