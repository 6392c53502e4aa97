"""
`gateway replay`: deliver the history of runs to a tracker.
"""
