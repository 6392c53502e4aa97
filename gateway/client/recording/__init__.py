"""
Append events and points to the journal, and report what became of them.
"""
