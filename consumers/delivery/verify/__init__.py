"""
`gateway verify`: what a tracker holds against what PostgreSQL holds.
"""
