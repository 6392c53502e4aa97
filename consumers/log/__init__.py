"""
Reading and writing Kafka: the topic of events, its records, offsets and watermarks.
"""
