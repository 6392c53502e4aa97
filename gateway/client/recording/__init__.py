"""
Where events enter the journal, and what is reported of them.
"""
