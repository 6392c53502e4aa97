"""
The query API, the event stream and the dashboard page.
"""
