"""
The embedded stack: real Kafka, PostgreSQL and MLflow for one home, started, supervised and stopped.
"""
