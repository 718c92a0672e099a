from __future__ import annotations

from handrail.store import snapshots
from handrail.store.engine import Store
from handrail.store.snapshots import SnapshotRow
from tests.store.making import ALICE


async def test_the_state_before_and_after_each_turn_is_found(alice: Store) -> None:
    assert await snapshots.latest(alice, ALICE) is None
    for turn, kept in ((0, "base"), (1, "one"), (2, "two"), (2, "back")):
        await alice.log.write(snapshots.insert(ALICE, turn, kept))

    def commit(found: SnapshotRow | None) -> str | None:
        return found.commit if found else None

    assert commit(await snapshots.latest(alice, ALICE)) == "back"
    assert commit(await snapshots.before(alice, ALICE, 1)) == "base"
    assert commit(await snapshots.before(alice, ALICE, 2)) == "one"
    assert commit(await snapshots.after(alice, ALICE, 2)) == "back"
    assert commit(await snapshots.before(alice, ALICE, 0)) is None
    assert [row.commit for row in await snapshots.of(alice, ALICE)] == ["back", "two", "one", "base"]
