"""
HTTP front doors to the log, for workers that cannot reach Kafka.
"""
