"""A history from its setting to its evidence."""

from typing import Final

from tests.integration.claims.histories.acts import History
from tests.integration.claims.histories.conftest import Staged
from tests.integration.claims.histories.evidence import Evidence, evidence_of, supply

NOTHING: Final = "select 1"


async def played(staged: Staged, history: History, *, sql: str = NOTHING, undo: str = NOTHING) -> Evidence:
    """Printed first, so that a failure shows what happened. sql, undo: done to the database before and after."""
    print(history)
    async with staged(history) as stage:
        starting = supply(stage.setting)
        await stage.setting.owner.execute(sql)
        try:
            await stage.act_out()
            found = await evidence_of(stage, starting)
        finally:
            await stage.setting.owner.execute(undo)
    print(f"died at: {', '.join(one.name for one in stage.armed.reached)}; {dict(found.figures)}; lies {found.lies}")
    return found
