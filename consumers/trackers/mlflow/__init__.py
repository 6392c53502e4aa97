"""MLflow: a server, or the database that it keeps."""
