"""
Live events: the tail of the log, delivered to every subscriber.

- `tail`: the one reader of the log for all browsers. `subscribers`: who gets what, and a bounded queue for each.
  `messages`: records as messages.
- `recent`: which runs and saved items had records lately.
- `positions`: where a stream continues, as text. `catch_up`: everything since a position, then a handover to the tail
  without gap or overlap.
"""
