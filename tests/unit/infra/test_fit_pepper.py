"""A worker with another pepper than the log's seals is refused before it seals anything."""

from pathlib import Path

import pytest

from infra import compose, fit_pepper, keys
from infra.fit_pepper import FIRST_LOOK_RECORDS, PepperUnfit
from infra.keys import KeyFileError
from infra.settings import Settings
from schemas.sealed import VERSION, Late
from streams.log.port import EPOCH_SEALED, Append
from tests.seals import CHANNEL, LOGIN, T0_S, SaidLog, seal_of, viewers

OURS = b"\x07" * 32  # what tests.seals seals with
PATH = Path("/home/keys/pepper")


async def test_a_log_without_seals_takes_any_pepper() -> None:
    log = SaidLog(partitions=2)
    await fit_pepper.check(log, b"\x08" * 32, PATH)
    await log.say(Late(VERSION, CHANNEL, LOGIN, T0_S, 3, 1))
    await fit_pepper.check(log, b"\x08" * 32, PATH)


@pytest.mark.parametrize("partition", [0, 1])
@pytest.mark.parametrize("notices", [0, FIRST_LOOK_RECORDS * 3])
async def test_the_newest_seal_says_which_pepper_it_is(partition: int, notices: int) -> None:
    log = SaidLog(partitions=2)
    await log.say(seal_of(viewers(1, 2)), partition=partition)
    await log.append(EPOCH_SEALED, [Append(partition, b"k", b"of a newer program")])
    for offset in range(notices):
        await log.say(Late(VERSION, CHANNEL, LOGIN, T0_S, offset, 1), partition=partition)
    await fit_pepper.check(log, OURS, PATH)
    with pytest.raises(PepperUnfit, match=r"/home/keys/pepper .*nothing was sealed: put the first one there"):
        await fit_pepper.check(log, b"\x08" * 32, PATH)


def test_a_pepper_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    made = compose.pepper_of(settings)
    assert compose.pepper_of(settings) == made
    settings.pepper_path.rename(tmp_path / "backup")
    with pytest.raises(KeyFileError, match=r"is gone .* restore it from a backup"):
        compose.pepper_of(settings)
    assert not settings.pepper_path.exists()
    (tmp_path / "backup").rename(settings.pepper_path)
    assert compose.pepper_of(settings) == made


def test_a_home_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "a" / "home")
    compose.pepper_of(settings)
    assert (settings.home.stat().st_mode & 0o777, (tmp_path / "a").stat().st_mode & 0o700) == (0o700, 0o700)
    settings.home.chmod(0o755)
    compose.make_home(settings)
    assert settings.home.stat().st_mode & 0o777 == 0o755, "one that is there stays as it is"
    assert keys.read_pepper(settings.pepper_path) == compose.pepper_of(settings)
