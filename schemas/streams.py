"""Names of the five streams of the log."""

from typing import Final

CHAT_EVENTS: Final = "chat.events"
EPOCH_SEALED: Final = "epoch.sealed"
CONTROL: Final = "control"
DEAD: Final = "dead"
CHAT_TEXT: Final = "chat.text"
"""Message text, written only where the operator keeps it (law 5), read only by `twzrd raw`; it alone expires."""
STREAMS: Final = (CHAT_EVENTS, EPOCH_SEALED, CONTROL, DEAD, CHAT_TEXT)
"""chat.events and epoch.sealed have the same, fixed number of partitions; the others have one."""
