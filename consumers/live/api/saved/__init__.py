"""
Reads of what people saved and of what code says of metrics.

- `routes`: which path is answered by what. `items`: views and rules of alerts. `definitions`: of metrics.
"""
