"""
Find, load, check and run tracker plug-ins.
"""
