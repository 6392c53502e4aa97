"""
Dead letters: records that can never be folded. Limits on their number, their topic, and the decisions about them.

- `limits`: pure; decides when too many records, in a row or of one run, could not be folded, so that the materialiser
  stops before the next one. Each dead letter is stored with its ordinal, so a restart or rebuild continues the count.
- `publisher`: a task of the materialiser that copies dead letters from the table to their topic: at least once, in
  the order of each partition; nothing waits for it. How far it is, and what people decided, lies in tables that a
  rebuild keeps (`consumers/store/dead_letters.py`).
- `resolution`: writes records to the log again, or marks them as discarded. The limits count from the newest dead
  letter that was decided about, so a decision lets the materialiser continue.
"""
