"""
The query API: its routes, what they answer, and the stream of live messages over HTTP.
"""
