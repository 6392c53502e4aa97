"""
The query API, the event stream and the dashboard page.

- `server`: the process. `app`: puts the routes and pages together. `api/`: routes and answers. `edits/`: what
  clients change. `stream/`: live events.
- `dashboard/`: the pages, and the files that they load.
"""
