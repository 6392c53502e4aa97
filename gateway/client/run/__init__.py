"""
What training code calls: runs, steps, artifacts, edits and barriers.
"""
