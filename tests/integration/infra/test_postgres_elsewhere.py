"""A server whose processes the kernel does not show us: that of another container over the same folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.postgres import EmbeddedPostgres, PostgresError, postmaster
from infra.postgres.sockets import answers

pytestmark = pytest.mark.postgres


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    one = EmbeddedPostgres(tmp_path / "pg", durable=False)
    yield one
    one.destroy()


def test_it_is_refused_and_left_as_it_is(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    server.start()
    pid_file, settings = server.cluster / "postmaster.pid", server.cluster / "twzrd.conf"
    before = pid_file.read_text(), settings.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(postmaster, "_is_at_home", lambda pid, cluster: False)
        with pytest.raises(PostgresError, match=r"cannot see .* another container"):
            EmbeddedPostgres(server.data_dir, durable=False).start()
    assert (pid_file.read_text(), settings.stat().st_mtime_ns) == before
    assert answers(server.cluster)
