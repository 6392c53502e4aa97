"""Trainings that log with MLflow's own client, and what a server then holds of them; one process for each server."""
