"""The embedded stack: real Kafka, PostgreSQL and MLflow for one home, started, watched and stopped."""
