"""
What readers of streams wait for: topics, each with a state of bounded size, however slowly its reader takes it.

- `rows`: points of one record and series, and their corners. `waiting`: the rows that a reader has not taken yet.
- `matching`: which written names are wanted. `feed`: what all topics have in common.
- `series`: new points. `changes`: one task that waits for the fold and asks the store, for all readers.
- `runs`: runs of a filter. `saved`: views and rules of alerts. `alerts`: firings.
- `joining`: what a reader of series has had. `topic_positions`: where a stream of topics continues, as text.
- `reader`: the events of one connection, in frames.
"""
