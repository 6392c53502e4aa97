"""
From the journal to the log.

- `batching`: a piece of a journal as events: 1,000 points, 256 KiB, 200 ms, or at once for lifecycle events; always
  the same. `rows`: the part of it for rows of many series.
- `producer`: numbers events from 0, and has each cut written down before it is sent.
- `loop`: its event loop. `markers`: tells who waits. `adopter`: has the shipper send journals of dead processes, too.
- `shipper`: a thread that sends in order, keeps what is not acknowledged, and sends it again, the same bytes.
- `heartbeats`: a sign of life of silent producers. `immediate`: the few events of a command, sent without a journal.
- `recovery`: reads what a dead process left, skips what is damaged, and adds the end that it never wrote. `sync`:
  `gateway sync`.
"""
