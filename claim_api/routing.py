"""Which handler answers which path and method. A part of the API states its routes; app.py asks this table.

In: a method and a path. Out: the route's name and its handler with what its path captures, or an ApiError of 405.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from claim_api.answer import Answer
from claim_api.errors import ApiError

Handler = Callable[..., Awaitable[Answer]]
"""Takes the Request, then each captured segment of the path by position."""
ANY: Final = "*"
"""A segment of a path that is captured."""


@dataclass(frozen=True, slots=True)
class Route:
    """path: segments after the first slash, ANY where one is captured, for example "v1/claims/*". methods: GET (which
    answers HEAD too), POST, OPTIONS. name: for the counters."""

    name: str
    path: str
    methods: Mapping[str, Handler]


class Part(Protocol):
    """One concern of the API: its routes, and its life around them."""

    def routes(self) -> Sequence[Route]:
        """Asked once, before start."""

    async def start(self) -> None:
        """Before the first request, in the loop that serves."""

    async def stop(self) -> None:
        """After the last one."""


class OwnProofs(Protocol):
    """Gives viewers their own proofs: claim_api.proofs of the API that a part belongs to."""

    async def opened(self, channel: str, epoch_start_s: int, revision: int, viewer: str) -> Answer:
        """Presence or absence of that identity, opened."""


@runtime_checkable
class ProvingPart(Protocol):
    """A part that answers with proofs; the API hands it what makes them, before start."""

    def prove_with(self, proofs: OwnProofs) -> None: ...


class Router:
    """Looks up by number of segments, then segment by segment; fixed paths by one look."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, Route] = {}
        self._captured: dict[int, list[tuple[list[str], Route]]] = {}
        for route in routes:
            segments = route.path.split("/")
            if ANY in segments:
                self._captured.setdefault(len(segments), []).append((segments, route))
            elif self._fixed.setdefault(route.path, route) is not route:
                raise ValueError(f"two routes have the path /{route.path}")

    def find(self, method: str, path: str) -> tuple[str, Handler, list[str]] | None:
        """Name, handler and captured segments; None where no route has the path. Raises ApiError 405."""
        route, captured = self._fixed.get(path[1:]), list[str]()
        if route is None:
            segments = path[1:].split("/")
            for pattern, candidate in self._captured.get(len(segments), ()):
                if all(ours in (ANY, theirs) for ours, theirs in zip(pattern, segments, strict=True)):
                    route = candidate
                    captured = [theirs for ours, theirs in zip(pattern, segments, strict=True) if ours == ANY]
                    break
            if route is None:
                return None
        handler = route.methods.get(method)
        if handler is None:
            raise method_not_allowed(method, route.methods)
        return route.name, handler, captured


def method_not_allowed(method: str, known: Iterable[str]) -> ApiError:
    """405 with what is allowed."""
    allowed = sorted({*known, *(("HEAD",) if "GET" in known else ())})
    return ApiError(
        405,
        "method_not_allowed",
        f"method {method} is not known here",
        f"use {' or '.join(allowed)}",
        [(b"allow", ", ".join(allowed).encode())],
    )
