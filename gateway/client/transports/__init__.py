"""
Transports: how the shipper reaches the log, directly through Kafka or through a gateway server.
"""
