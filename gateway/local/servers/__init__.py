"""
How each server of the embedded stack is started: `kafka`, `postgres` and `mlflow_server`. `kafka_jars` fetches
exactly the jars of `kafka_jars.lock.json`, checked by hash; `java` finds a Java or takes the one of a wheel.
`search_access` lets the user that runs PostgreSQL for root pass through closed folders.
"""
