"""
`gateway dead-letters`: list, show, replay and discard.
"""
