"""
The servers of the embedded stack: Kafka and its Java, PostgreSQL, MLflow.
"""
