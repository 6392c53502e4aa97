"""
Ways to the log: Kafka, or HTTP to the ingest server.
"""
