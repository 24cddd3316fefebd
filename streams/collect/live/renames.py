"""Which login a wish stands for now: channels keep their room id when they are renamed, wishes name logins.

In: wishes and renames in the order of the stream `control`. Out: the login that bears the wished channel now. A wish
follows the renames that were said after it; whoever wants the old login anew means who bears it from then on. Only the
order counts, no clock, and compaction keeps the order: of each key the newest record stays, where it was.
"""

from schemas import control as records


class Renames:
    """See the module; pure. said: by the old login, the last rename away from it."""

    def __init__(self) -> None:
        self.said: dict[str, records.Renamed] = {}
        self._count = 0
        self._orders: dict[str, dict[str, tuple[records.Record, int]]] = {"operator": {}, "discovery": {}, "": {}}
        """Origin, or "" of renames -> by login the record last said of it, and its place in the order."""

    def wished(self, wish: records.Wanted) -> None:
        """A wish was said; the same record once more changes nothing."""
        self._note(wish.login, wish.origin, wish)

    def unwished(self, gone: records.Unwanted) -> None:
        """A wish was taken back."""
        self._orders[gone.origin].pop(gone.login, None)

    def take(self, renamed: records.Renamed) -> None:
        """A rename was said; the same record once more changes nothing."""
        self.said.pop(renamed.login, None)
        self.said[renamed.login] = renamed
        self._note(renamed.login, "", renamed)

    def forget_oldest(self) -> None:
        """Of all renames that of which nothing was said for longest."""
        login = next(iter(self.said))
        del self.said[login], self._orders[""][login]

    def bearer(self, wish: records.Wanted) -> str:
        """The login that the wished channel bears now."""
        return self._follow(wish.login, self._order(wish.login, wish.origin))

    def bearer_of(self, login: str) -> str:
        """The same for a login of a list that says no time (the command line, a file): it follows every rename, but
        those that a wish for the login was said after."""
        return self._follow(login, max(self._order(login, origin) for origin in ("operator", "discovery")))

    def away_from(self, login: str) -> records.Renamed | None:
        """The rename that wishes for that login follow, where one does."""
        return self.said.get(login) if self.bearer_of(login) != login else None

    def _follow(self, login: str, since: int) -> str:
        # Each step is later than the one before, so a login that comes back to its first bearer ends the way.
        while (order := self._order(login, "")) > since:
            login, since = self.said[login].to, order
        return login

    def _order(self, login: str, of: str) -> int:
        return self._orders[of][login][1] if login in self._orders[of] else 0

    def _note(self, login: str, of: str, record: records.Record) -> None:
        if self._orders[of].get(login, (None, 0))[0] != record:
            self._count += 1
            self._orders[of][login] = record, self._count
