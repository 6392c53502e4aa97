"""
What runs inside training: standard library only at import, and never a module of schemas/ or consumers/.

    emit() ─> run.py ─> journal.py ─> shipper.py (a thread) ─> kafka.py ─> the log
                                      cuts: producer.py, batch.py
                                      encodes: wire.py
"""
