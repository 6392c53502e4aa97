"""
`gateway replay`: which runs, from where, how far.
"""
