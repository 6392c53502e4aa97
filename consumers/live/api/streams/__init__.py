"""
Streams of server-sent events.

- `routes` has the addresses, `questions` what they take. `opening` makes the topics of a stream. `visible`: which runs
  a token that is limited to experiments sees.
- `sending`: the answer, and the end of one whose client takes nothing. `deltas`: points since some offsets, at once.
"""
