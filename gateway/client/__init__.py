"""
What runs inside training: standard library only at import, and never a module of schemas/ or consumers/.

    emit() ─> run/ ─> recording/ ─> journal/ ─> shipping/ (a thread) ─> transports/ ─> the log
                                                cuts batches, which encoding/ writes as JSON

Imports go one way: run, capture, recording, shipping, then journal and transports, then encoding.
"""
