"""
From a filter that people write to SQL, in pages.
"""
