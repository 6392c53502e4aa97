"""
`gateway verify`: compare what a tracker holds with what PostgreSQL holds.
"""
