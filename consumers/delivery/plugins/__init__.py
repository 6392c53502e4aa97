"""
How plug-ins are found, loaded, checked and run.
"""
