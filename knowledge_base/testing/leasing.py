"""What is promised of leases: one agent a target, one holder a trial, epochs that fence off."""

# ruff: noqa: S101 - asserts are what a suite is made of

from __future__ import annotations

from datetime import timedelta

import pytest

from knowledge_base.errors import Conflict, Held, InvalidRecord, NotFound
from knowledge_base.records import Agent, Lease, SessionState, Target, Trial, TrialState
from knowledge_base.store import Store
from knowledge_base.testing.scene import (
    AGENT,
    BASELINE,
    LEASE_SECONDS,
    START,
    described,
    finished,
    leased,
    new_trial,
    registered,
    started,
    taken,
)
from targets.clock import ManualClock
from targets.errors import StaleEpoch

OTHER = "agent-2"
RESTART = "start-2"


def beat(store: Store, *, instance: str = AGENT, incarnation: str = START) -> Agent:
    """A sign of life."""
    return store.agents.heartbeat(
        instance=instance,
        incarnation=incarnation,
        in_force={"cache_size": 1, "journal": "wal"},
        host_metrics={"load": 0.5, "steal": None},
        spooled=3,
        dropped=1,
        lease_seconds=LEASE_SECONDS,
    )


def queued(store: Store, *, trials: int = 1) -> tuple[Target, list[Trial]]:
    """A target that an agent holds, and trials that wait for it."""
    target = described(store)
    registered(store, target)
    session = started(store, target)
    return target, [store.trials.add(new_trial(session, number)) for number in range(trials)]


class LeasingContract:
    """Who may act, and who no longer."""

    def test_an_agent_takes_its_target(self, store: Store, clock: ManualClock) -> None:
        target = described(store)
        assert store.agents.of_target(target.id) is None
        assert store.agents.lease_of(target.id) is None
        agent = registered(store, target)
        assert store.agents.by_instance(AGENT) == agent == store.agents.of_target(target.id)
        assert store.agents.list().items == (agent,)
        assert agent.in_force == BASELINE
        assert agent.registered_at == agent.last_seen_at == clock.now()
        lease = Lease(
            resource=f"target:{target.id}",
            holder=AGENT,
            incarnation=START,
            epoch=1,
            expires_at=clock.now() + timedelta(seconds=LEASE_SECONDS),
        )
        assert store.agents.lease_of(target.id) == lease
        assert store.leases.get(f"target:{target.id}") == lease

    def test_a_second_agent_is_refused_until_the_lease_runs_out(
        self, store: Store, clock: ManualClock
    ) -> None:
        target = described(store)
        registered(store, target)
        clock.advance(LEASE_SECONDS - 0.001)
        with pytest.raises(Held, match=f"held by agent {AGENT} until"):
            registered(store, target, instance=OTHER)
        clock.advance(0.001)
        registered(store, target, instance=OTHER)
        lease = store.agents.lease_of(target.id)
        assert lease is not None
        assert (lease.holder, lease.epoch) == (OTHER, 2)
        assert store.agents.of_target(target.id) == store.agents.by_instance(OTHER)

    def test_the_same_agent_comes_back_to_its_lease(self, store: Store) -> None:
        target = described(store)
        first = registered(store, target)
        again = registered(store, target, incarnation=RESTART)
        assert (again.id, again.incarnation) == (first.id, RESTART)
        lease = store.agents.lease_of(target.id)
        assert lease is not None
        assert (lease.incarnation, lease.epoch) == (RESTART, 2)

    def test_a_superseded_start_can_do_nothing_more(self, store: Store) -> None:
        target, _ = queued(store)
        registered(store, target, incarnation=RESTART)
        with pytest.raises(Conflict, match="started again as start-2"):
            beat(store)
        with pytest.raises(Conflict, match="started again"):
            leased(store, target)
        with pytest.raises(Conflict, match="started again"):
            store.agents.release(AGENT, START)
        assert leased(store, target, incarnation=RESTART) is not None

    def test_a_heartbeat_renews_the_lease_and_says_how_the_agent_is(
        self, store: Store, clock: ManualClock
    ) -> None:
        target = described(store)
        registered(store, target)
        clock.advance(LEASE_SECONDS - 1)
        agent = beat(store)
        assert agent == store.agents.by_instance(AGENT)
        assert agent.last_seen_at == clock.now()
        assert agent.in_force == {"cache_size": 1, "journal": "wal"}
        assert agent.host_metrics == {"load": 0.5, "steal": None}
        assert (agent.spooled, agent.dropped) == (3, 1)
        clock.advance(LEASE_SECONDS - 1)
        with pytest.raises(Held):
            registered(store, target, instance=OTHER)

    def test_a_heartbeat_that_could_not_read_keeps_what_was_in_force(self, store: Store) -> None:
        registered(store, described(store))
        agent = store.agents.heartbeat(
            instance=AGENT,
            incarnation=START,
            in_force=None,
            host_metrics={},
            spooled=0,
            dropped=0,
            lease_seconds=LEASE_SECONDS,
        )
        assert agent.in_force == BASELINE

    def test_a_lease_that_ran_out_but_that_nobody_took_is_still_its_holder_s(
        self, store: Store, clock: ManualClock
    ) -> None:
        target, _ = queued(store)
        clock.advance(LEASE_SECONDS * 10)
        beat(store)
        assert leased(store, target) is not None

    def test_an_agent_that_lost_its_target_is_told(self, store: Store, clock: ManualClock) -> None:
        target, _ = queued(store)
        clock.advance(LEASE_SECONDS)
        registered(store, target, instance=OTHER)
        with pytest.raises(Conflict, match=f"agent {OTHER} does: register again"):
            beat(store)
        with pytest.raises(Conflict, match="register again"):
            leased(store, target)

    def test_a_released_target_can_be_taken_at_once(self, store: Store) -> None:
        target = described(store)
        registered(store, target)
        store.agents.release(AGENT, START)
        registered(store, target, instance=OTHER)
        with pytest.raises(Conflict, match="does not hold target"):
            store.agents.release(AGENT, START)

    def test_an_agent_pointed_elsewhere_lets_go_of_its_old_target(self, store: Store) -> None:
        old, new = described(store, "old"), described(store, "new")
        agent = registered(store, old)
        moved = registered(store, new)
        assert (moved.id, moved.target_id) == (agent.id, new.id)
        registered(store, old, instance=OTHER)

    def test_an_unknown_agent_is_told_to_register(self, store: Store) -> None:
        target, _ = queued(store)
        with pytest.raises(NotFound, match="register first"):
            beat(store, instance="nobody")
        with pytest.raises(NotFound, match="register first"):
            store.agents.by_instance("nobody")
        with pytest.raises(NotFound, match="target 41"):
            store.agents.register(
                target_id=41,
                instance=AGENT,
                incarnation=START,
                version="0.1.0",
                protocol=1,
                host="h",
                in_force=None,
                lease_seconds=1,
            )
        with pytest.raises(Conflict, match="register again"):
            leased(store, target, instance="nobody")
        with pytest.raises(Conflict, match="nobody does: register again"):
            leased(store, described(store, "other-db"))

    def test_trials_are_handed_out_oldest_first_one_at_a_time(
        self, store: Store, clock: ManualClock
    ) -> None:
        target, trials = queued(store, trials=2)
        first = taken(store, target)
        assert (first.id, first.epoch, first.state) == (trials[0].id, 1, TrialState.LEASED)
        assert first.leased_at == clock.now()
        lease = store.leases.get(f"trial:{first.id}")
        assert lease == Lease(
            resource=f"trial:{first.id}",
            holder=AGENT,
            incarnation=START,
            epoch=1,
            expires_at=clock.now() + timedelta(seconds=LEASE_SECONDS),
        )
        finished(store, first)
        assert store.leases.get(f"trial:{first.id}") is None
        second = taken(store, target)
        assert second.id == trials[1].id
        finished(store, second)
        assert leased(store, target) is None

    def test_a_trial_in_hand_is_given_again_under_a_higher_epoch(self, store: Store) -> None:
        target, _ = queued(store, trials=2)
        first = taken(store, target)
        store.trials.set_state(
            first.id, instance=AGENT, epoch=first.epoch, state=TrialState.MEASURING
        )
        registered(store, target, incarnation=RESTART)
        again = leased(store, target, incarnation=RESTART)
        assert again is not None
        assert (again.id, again.epoch, again.state) == (first.id, 2, TrialState.LEASED)
        with pytest.raises(StaleEpoch, match="must abandon it"):
            store.trials.set_state(
                first.id, instance=AGENT, epoch=first.epoch, state=TrialState.APPLYING
            )

    def test_only_running_sessions_hand_out_new_trials(self, store: Store) -> None:
        target, trials = queued(store, trials=2)
        held = taken(store, target)
        session_id = trials[0].session_id
        store.sessions.advance(session_id, revision=1, state=SessionState.PAUSED)
        assert taken(store, target).id == held.id  # what is in hand is finished
        finished(store, store.trials.get(held.id))
        assert leased(store, target) is None
        store.sessions.advance(session_id, revision=2, state=SessionState.RUNNING)
        assert taken(store, target).id == trials[1].id

    def test_a_trial_of_an_ended_session_is_not_given_again(self, store: Store) -> None:
        target, (trial,) = queued(store)
        taken(store, target)
        store.sessions.advance(trial.session_id, revision=1, state=SessionState.CANCELLED)
        assert leased(store, target) is None

    def test_trials_go_to_the_agent_of_their_target_only(self, store: Store) -> None:
        queued(store)
        other = described(store, "other-db")
        registered(store, other, instance=OTHER)
        assert leased(store, other, instance=OTHER) is None

    def test_a_held_trial_goes_through_its_steps(self, store: Store) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        for state in (TrialState.APPLYING, TrialState.MEASURING, TrialState.APPLYING):
            moved = store.trials.set_state(trial.id, instance=AGENT, epoch=trial.epoch, state=state)
            assert moved.state is state
            assert store.trials.get(trial.id) == moved

    @pytest.mark.parametrize("state", [TrialState.COMPLETED, TrialState.SUGGESTED])
    def test_a_step_is_not_a_way_to_end_or_return_a_trial(
        self, store: Store, state: TrialState
    ) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        with pytest.raises(InvalidRecord, match="no step of a held trial"):
            store.trials.set_state(trial.id, instance=AGENT, epoch=trial.epoch, state=state)

    def test_only_the_holder_under_its_epoch_may_act(self, store: Store) -> None:
        target, (waiting,) = queued(store)
        with pytest.raises(StaleEpoch):
            store.trials.renew(waiting.id, instance=AGENT, epoch=0, lease_seconds=1)
        trial = taken(store, target)
        for instance, epoch in ((OTHER, trial.epoch), (AGENT, trial.epoch + 1)):
            with pytest.raises(StaleEpoch):
                store.trials.renew(trial.id, instance=instance, epoch=epoch, lease_seconds=1)
            with pytest.raises(StaleEpoch):
                store.trials.set_state(
                    trial.id, instance=instance, epoch=epoch, state=TrialState.APPLYING
                )
        finished(store, trial)
        with pytest.raises(StaleEpoch, match="is completed"):
            store.trials.renew(trial.id, instance=AGENT, epoch=trial.epoch, lease_seconds=1)

    def test_a_renewed_trial_does_not_expire(self, store: Store, clock: ManualClock) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        clock.advance(LEASE_SECONDS - 1)
        store.trials.renew(trial.id, instance=AGENT, epoch=trial.epoch, lease_seconds=LEASE_SECONDS)
        clock.advance(LEASE_SECONDS - 1)
        assert store.trials.expire() == []
        clock.advance(1)
        assert [expired.id for expired in store.trials.expire()] == [trial.id]

    def test_an_expired_trial_waits_again_under_a_higher_epoch(
        self, store: Store, clock: ManualClock
    ) -> None:
        target, _ = queued(store, trials=2)
        trial = taken(store, target)
        clock.advance(LEASE_SECONDS)
        (expired,) = store.trials.expire()
        assert expired == store.trials.get(trial.id)
        assert (expired.state, expired.epoch) == (TrialState.SUGGESTED, trial.epoch + 1)
        assert expired.leased_at is None
        assert store.leases.get(f"trial:{trial.id}") is None
        assert store.trials.expire() == []
        again = taken(store, target)
        assert (again.id, again.epoch) == (trial.id, trial.epoch + 2)

    def test_who_takes_a_target_over_fences_off_the_trials_of_the_one_before(
        self, store: Store, clock: ManualClock
    ) -> None:
        target, _ = queued(store)
        trial = taken(store, target)
        clock.advance(LEASE_SECONDS)
        registered(store, target, instance=OTHER)
        with pytest.raises(StaleEpoch):
            store.trials.set_state(
                trial.id, instance=AGENT, epoch=trial.epoch, state=TrialState.APPLYING
            )
        again = leased(store, target, instance=OTHER)
        assert again is not None
        assert (again.id, again.epoch) == (trial.id, trial.epoch + 2)

    def test_a_resource_of_another_kind_is_refused(self, store: Store) -> None:
        for resource in ("session:1", "trial:x", "trial", "target:-1"):
            with pytest.raises(InvalidRecord, match="target:ID nor trial:ID"):
                store.leases.get(resource)
        assert store.leases.get("target:41") is None
        assert store.leases.get("trial:41") is None
