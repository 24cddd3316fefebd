"""What a log adapter brings to be held to the port: an empty place of its own for each test."""

from typing import Protocol

from streams.log.port import Log


class Storage(Protocol):
    """An empty log. `client` may be called many times: each is another process's view of the same log.

    A new adapter writes a module with `fresh(server) -> AsyncContextManager[Storage]` and adds its name to the
    parameters in conftest.py.
    """

    has_server: bool
    """Whether there is a server that could be away; only Postgres' and Kafka's storages can show what happens then."""

    def client(self, partitions: int = 4) -> Log:
        """A client that is not opened yet; whoever asks closes it."""

    def unreachable(self) -> tuple[Log, str]:
        """A client of an address where nothing listens, and what its error must name."""

    async def forget(self, log: Log, stream: str, partition: int, before_offset: int) -> None:
        """Make the log retain only records from before_offset on."""
