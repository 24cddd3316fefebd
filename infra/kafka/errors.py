"""What can go wrong with the development broker, for whoever starts it."""

from schemas.errors import TwzrdError


class KafkaError(TwzrdError):
    """The development broker did not start, stop or answer as it should."""


class KafkaUnavailable(KafkaError):
    """This machine lacks something the broker needs (Java, Maven, the network once); the message names the mend."""
