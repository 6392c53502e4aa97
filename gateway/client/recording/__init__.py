"""
Between runs and journals.

- `recorder`: appends to the journal, starts the shipper and counts. `shipped_journal`: a journal and what sends it.
- `background`: the thread for work around training.
- `report`: what `finish` returns. `health`: what a run knows of its delivery.
"""
