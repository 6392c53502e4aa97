"""
What pages and clients of the API write: each request becomes events in the log, as everything else does.

- `routes`: which path takes what. `runs`: tags, note, parameters, name and stage of a run. `saved`: views and rules.
- `identity`: a request's id and author. `bodies`: JSON of a bounded size. `appender`: the log, for requests at once.
"""
