"""
The contract suite of tracker plug-ins: import it in a plug-in's own tests.
"""
