"""Names of the four streams of the log."""

from typing import Final

CHAT_EVENTS: Final = "chat.events"
EPOCH_SEALED: Final = "epoch.sealed"
CONTROL: Final = "control"
DEAD: Final = "dead"
STREAMS: Final = (CHAT_EVENTS, EPOCH_SEALED, CONTROL, DEAD)
"""chat.events and epoch.sealed have the same, fixed number of partitions; control and dead have one."""
