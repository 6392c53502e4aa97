"""
What a run wrote besides points, in pages both ways: console lines, and values that are no numbers.

- `pages`: their statements. `reader`: the queries.
"""
