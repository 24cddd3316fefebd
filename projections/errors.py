"""What can go wrong in the projections, for runners and operators."""

from schemas.errors import TwzrdError


class ProjectionError(TwzrdError):
    """A projection cannot go on; the message names it and the mend."""


class AlreadyRunning(ProjectionError):
    """Another process holds the projection's advisory lock."""


class PositionMoved(ProjectionError):
    """The stored position is not the one this process read from; somebody else applied records."""


class RebuildDiffers(ProjectionError):
    """A rebuild gave other content than what stands; the old tables were kept."""
