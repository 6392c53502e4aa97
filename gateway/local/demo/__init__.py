"""
`gateway demo`: the whole story on real parts.
"""
