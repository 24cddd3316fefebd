"""What `twzrd up` starts."""

import asyncio
import logging
from pathlib import Path

import pytest

from infra.settings import Settings
from infra.supervisor import Part, Supervisor, parts_of


def test_signer_and_payer_run_where_a_mint_is_configured() -> None:
    without = [part.name for part in parts_of(8480)]
    assert [part.name for part in parts_of(8480, claims=True)] == [*without, "sign", "pay"]
    assert "sign" not in without


async def test_a_quiet_part_says_nothing_on_our_standard_output(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    loud, quiet = Part("loud", ["twitch-login", "--help"]), Part("quiet", ["token", "--help"], quiet=True)
    supervisor = Supervisor(Settings(home=tmp_path), [loud, quiet], {})
    both_ended, ended = asyncio.Event(), set[str]()

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ended.add(record.getMessage().partition(" ended")[0])
            if ended == {"loud", "quiet"}:
                both_ended.set()

    logging.getLogger("infra.supervisor").addHandler(handler := Heard())
    supervisor.start()
    async with asyncio.timeout(30):
        await both_ended.wait()
    await supervisor.stop()
    logging.getLogger("infra.supervisor").removeHandler(handler)
    said = capfd.readouterr().out
    assert "twitch-login" in said
    assert "mint-authority" not in said
