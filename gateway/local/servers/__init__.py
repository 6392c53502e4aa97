"""
How each server of the embedded stack is started: `kafka`, `postgres` and `mlflow_server`. `kafka_jars` fetches
exactly the jars of `kafka_jars.lock.json`, checked by hash; `java` finds a Java or takes the one of a wheel.
"""
