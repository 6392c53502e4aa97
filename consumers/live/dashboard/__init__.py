"""
The pages for people.

- `pages`: serves them, and the files that they load.
"""
