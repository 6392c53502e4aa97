"""
`gateway demo`: train real models against a real stack, and compare every place with what was emitted.
"""
