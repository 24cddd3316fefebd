"""Our processes speak over a socket that only they may open, within bounds, each refusal counted."""

import asyncio
import os
import struct
from collections import Counter
from pathlib import Path

import pytest

from claim_api.unix_socket import SocketBounds, SocketError, ask, serving


async def echo(frame: bytes) -> bytes:
    return b"said " + frame


async def test_a_request_is_answered(tmp_path: Path) -> None:
    path, refused = tmp_path / "run" / "s.sock", Counter[str]()
    async with serving(path, echo, SocketBounds(), refused):
        assert await ask(path, b"this", SocketBounds()) == b"said this"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.exists()
    with pytest.raises(SocketError, match="nobody answers"):
        await ask(path, b"this", SocketBounds())


async def test_a_frame_over_the_bound_is_let_go(tmp_path: Path) -> None:
    path, refused = tmp_path / "run" / "s.sock", Counter[str]()
    async with serving(path, echo, SocketBounds(frame_bytes=10), refused):
        with pytest.raises(SocketError):
            await ask(path, b"x" * 11, SocketBounds(frame_bytes=100))
        assert refused["frame_bytes"] == 1
        with pytest.raises(SocketError, match="at most 10"):
            await ask(path, b"x" * 11, SocketBounds(frame_bytes=10))


async def test_more_requests_than_the_rate_are_let_go(tmp_path: Path) -> None:
    path, refused = tmp_path / "run" / "s.sock", Counter[str]()
    bounds = SocketBounds(requests_per_s=0.001, burst=2)
    async with serving(path, echo, bounds, refused):
        assert [await ask(path, b"x", bounds) for _ in range(2)] == [b"said x"] * 2
        with pytest.raises(SocketError):
            await ask(path, b"x", bounds)
    assert refused["rate"] == 1


async def test_a_peer_of_another_user_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, refused = tmp_path / "run" / "s.sock", Counter[str]()
    async with serving(path, echo, SocketBounds(), refused):
        ours = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
        with pytest.raises(SocketError):
            await ask(path, b"x", SocketBounds())
        monkeypatch.undo()
        assert refused["foreign_user"] == 1
        assert await ask(path, b"x", SocketBounds()) == b"said x"


async def test_a_half_frame_is_let_go_in_time(tmp_path: Path) -> None:
    path, refused = tmp_path / "run" / "s.sock", Counter[str]()
    async with serving(path, echo, SocketBounds(read_s=0.05), refused):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(struct.pack("<I", 8) + b"half")
        assert await reader.read() == b""
        writer.close()
    assert refused["cut_short"] == 1


async def test_connections_over_the_bound_are_let_go(tmp_path: Path) -> None:
    path, refused = tmp_path / "run" / "s.sock", Counter[str]()
    async with serving(path, echo, SocketBounds(connections=1), refused):
        _, held = await asyncio.open_unix_connection(str(path))
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert await reader.read() == b""
        held.close()
        writer.close()
    assert refused["connections"] == 1


async def test_a_second_server_and_an_open_folder_are_refused(tmp_path: Path) -> None:
    path, refused = tmp_path / "run" / "s.sock", Counter[str]()
    async with serving(path, echo, SocketBounds(), refused):
        with pytest.raises(SocketError, match="another process serves"):
            async with serving(path, echo, SocketBounds(), refused):
                pass
        assert await ask(path, b"x", SocketBounds()) == b"said x"
    path.parent.chmod(0o750)
    with pytest.raises(SocketError, match="open to others"):
        async with serving(path, echo, SocketBounds(), refused):
            pass


async def test_a_socket_that_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "run" / "s.sock"
    path.parent.mkdir(mode=0o700)
    path.touch()
    async with serving(path, echo, SocketBounds(), Counter()):
        assert await ask(path, b"x", SocketBounds()) == b"said x"


async def test_a_handler_that_fails_ends_its_connection_only(tmp_path: Path) -> None:
    async def fails(frame: bytes) -> bytes:
        if frame == b"bad":
            raise OSError("away")
        return frame

    path = tmp_path / "run" / "s.sock"
    async with serving(path, fails, SocketBounds(), Counter()):
        with pytest.raises(SocketError):
            await ask(path, b"bad", SocketBounds())
        assert await ask(path, b"good", SocketBounds()) == b"good"
