"""What is promised of targets and knob spaces."""

# ruff: noqa: S101 - asserts are what a suite is made of

from __future__ import annotations

import pytest

from knowledge_base.errors import InvalidRecord, NotFound
from knowledge_base.store import Store
from knowledge_base.testing.scene import described, description, started
from targets.clock import ManualClock
from targets.errors import InvalidKnob
from targets.space import KnobSpace


class TargetsContract:
    """Targets as last described; spaces as they were."""

    def test_a_target_is_found_again_as_it_was_described(
        self, store: Store, clock: ManualClock
    ) -> None:
        target = described(store)
        assert store.targets.get(target.id) == target
        assert store.targets.by_name("orders-db") == target
        assert target.description == description()
        assert (target.kind, target.version) == ("simulated", "1.0")
        assert target.created_at == target.described_at == clock.now()

    def test_describing_again_keeps_the_target_and_its_unchanged_space(
        self, store: Store, clock: ManualClock
    ) -> None:
        first = described(store)
        clock.advance(60)
        second = described(store)
        assert (second.id, second.space_id) == (first.id, first.space_id)
        assert second.created_at == first.created_at
        assert second.described_at == clock.now()

    def test_a_changed_space_is_kept_beside_the_one_that_sessions_refer_to(
        self, store: Store
    ) -> None:
        session = started(store, described(store))
        changed = store.targets.describe("orders-db", description(cache_max=2**50))
        assert changed.space_id != session.space_id
        assert store.targets.space(session.space_id)["cache_size"].high == 2**40
        assert store.targets.get(changed.id) == changed
        assert changed.space_id is not None
        assert store.targets.space(changed.space_id) == KnobSpace.from_dict(
            changed.description["space"]
        )

    def test_two_targets_of_one_space_share_it(self, store: Store) -> None:
        assert described(store, "a").space_id == described(store, "b").space_id

    def test_a_name_can_be_made_known_before_its_agent_speaks(self, store: Store) -> None:
        target = store.targets.describe("orders-db", {})
        assert (target.space_id, target.described_at, target.description) == (None, None, {})
        assert described(store).id == target.id

    def test_making_a_name_known_forgets_no_description(self, store: Store) -> None:
        target = described(store)
        assert store.targets.describe("orders-db", {}) == target

    def test_a_wrong_space_is_refused_and_nothing_is_stored(self, store: Store) -> None:
        wrong = description()
        wrong["space"]["knobs"][0]["default"] = -1
        with pytest.raises(InvalidKnob, match="cache_size"):
            store.targets.describe("orders-db", wrong)
        assert store.targets.list().total == 0

    def test_pages_are_in_name_order_and_know_the_total(self, store: Store) -> None:
        for name in ("c", "a", "d", "b"):
            described(store, name)
        page = store.targets.list(limit=2, offset=1)
        assert [target.name for target in page.items] == ["b", "c"]
        assert page.total == 4
        assert store.targets.list(limit=2, offset=9).items == ()

    def test_names_and_kinds_are_had_without_descriptions(self, store: Store) -> None:
        one, bare = described(store), store.targets.describe("bare", {})
        names = store.targets.names([one.id, bare.id, 41])
        assert names == {one.id: (one.name, "simulated"), bare.id: ("bare", "")}

    def test_what_is_not_there_is_named(self, store: Store) -> None:
        with pytest.raises(NotFound, match="target 41"):
            store.targets.get(41)
        with pytest.raises(NotFound, match="'nowhere'"):
            store.targets.by_name("nowhere")
        with pytest.raises(NotFound, match="knob space 41"):
            store.targets.space(41)
        with pytest.raises(NotFound, match=str(2**70)):
            store.targets.get(2**70)

    @pytest.mark.parametrize("name", ["x" * 256, "nul\0", "half \ud800"])
    def test_a_name_that_no_engine_can_index_is_refused(self, store: Store, name: str) -> None:
        with pytest.raises(InvalidRecord, match=r"targets\.name"):
            store.targets.describe(name, {})
