"""The owner's limits, as the agent enforces them and as the server is told."""

from __future__ import annotations

import pytest

from targets.agent.errors import InvalidConfig
from targets.agent.policy import Bounds, Policy
from targets.errors import Rejected
from targets.knobs import Effect, Knob, KnobType, Risk, Special
from targets.space import KnobSpace

SPACE = KnobSpace(
    (
        Knob(
            name="vm.cache",
            type=KnobType.INTEGER,
            default=10,
            low=1,
            high=100,
            special=(Special(value=0, meaning="off"),),
        ),
        Knob(name="vm.fast", type=KnobType.BOOLEAN, default=False),
        Knob(name="mode", type=KnobType.CATEGORICAL, default="a", levels=("a", "b", "c")),
        Knob(name="pool", type=KnobType.INTEGER, default=4, low=1, high=8, effect=Effect.RESTART),
        Knob(name="sync", type=KnobType.BOOLEAN, default=True, risk=Risk.DURABILITY),
        Knob(name="secret", type=KnobType.BOOLEAN, default=True, risk=Risk.NEVER),
    )
)
SAFE = SPACE.default()


def refusal(policy: Policy, **changes: object) -> str:
    with pytest.raises(Rejected) as caught:
        policy.check(SPACE, {**SAFE, **changes}, SAFE)  # type: ignore[dict-item]
    return str(caught.value)


@pytest.mark.parametrize(
    ("policy", "changes", "told"),
    [
        (Policy(allow=("mode",)), {"vm.cache": 20}, "vm.cache=20 is not on its owner's allow-list"),
        (Policy(allow=()), {"mode": "b"}, "mode='b' is not on its owner's allow-list"),
        (Policy(deny=("vm.*",)), {"vm.fast": True}, "vm.fast=True is denied by its owner"),
        (Policy(pins={"mode": "a"}), {"mode": "b"}, "mode='b' is pinned to 'a' by its owner"),
        (
            Policy(bounds={"vm.cache": Bounds(low=5, high=50)}),
            {"vm.cache": 51},
            "vm.cache=51 is outside its owner's bounds 5..50",
        ),
        (Policy(), {"pool": 8}, "pool=8 is a knob that needs a restart"),
        (Policy(), {"sync": False}, "sync=False is a durability knob"),
        (
            Policy(allow_restart=True, allow_durability=True),
            {"secret": False},
            "secret=False is marked as never to be tuned",
        ),
    ],
)
def test_what_is_not_permitted_is_refused_by_knob_value_and_rule(
    policy: Policy, changes: dict[str, object], told: str
) -> None:
    assert told in refusal(policy, **changes)


def test_all_faults_are_told_at_once() -> None:
    told = refusal(Policy(), pool=8, sync=False)
    assert "pool=8" in told
    assert "sync=False" in told


def test_what_is_permitted_passes() -> None:
    policy = Policy(
        allow=("vm.*", "pool", "sync"),
        allow_restart=True,
        allow_durability=True,
        bounds={"vm.cache": Bounds(high=50)},
    )
    policy.check(SPACE, {**SAFE, "vm.cache": 50, "pool": 8, "sync": False}, SAFE)


def test_the_safe_value_is_always_permitted() -> None:
    policy = Policy(allow=(), bounds={"vm.cache": Bounds(low=90)}, pins={"mode": "c"})
    policy.check(SPACE, SAFE, SAFE)


def test_the_server_is_told_a_space_that_admits_only_what_is_permitted() -> None:
    policy = Policy(
        deny=("vm.fast",), pins={"mode": "c"}, bounds={"vm.cache": Bounds(low=20, high=50)}
    )
    narrowed = policy.narrow(SPACE, SAFE)
    assert [knob.name for knob in narrowed] == [knob.name for knob in SPACE]
    narrowed.check(SAFE)
    for name, admitted, refused in (
        ("vm.cache", [20, 50, 10], [19, 51, 0]),
        ("vm.fast", [False], [True]),
        ("mode", ["c", "a"], ["b"]),
        ("pool", [4], [3, 5]),
        ("sync", [True], [False]),
    ):
        for value in admitted:
            narrowed.check({**SAFE, name: value})
            policy.check(SPACE, {**SAFE, name: value}, SAFE)
        for value in refused:
            with pytest.raises(Rejected):
                narrowed.check({**SAFE, name: value})
            with pytest.raises(Rejected):
                policy.check(SPACE, {**SAFE, name: value}, SAFE)


def test_a_space_without_limits_is_told_as_it_is() -> None:
    free = Policy(allow_restart=True, allow_durability=True)
    told = free.narrow(SPACE, SAFE)
    assert [told[name] for name in SAFE if name != "secret"] == [
        SPACE[name] for name in SAFE if name != "secret"
    ]


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (Policy(allow=("vm.cash",)), "no knob of this target: did you mean vm.cache"),
        (Policy(pins={"mode": "z"}), "policy.pins: knob mode='z' is none of its levels"),
        (Policy(bounds={"mode": Bounds(low=1)}), "categorical knobs have no bounds"),
        (Policy(bounds={"vm.cache": Bounds(low=200)}), "200.. leaves nothing of 1..100"),
    ],
)
def test_a_policy_that_does_not_fit_the_target_is_an_error(policy: Policy, told: str) -> None:
    with pytest.raises(InvalidConfig, match=None) as caught:
        policy.narrow(SPACE, SAFE)
    assert told in str(caught.value)


def test_patterns_that_fit_nothing_are_fine() -> None:
    Policy(allow=("*",), deny=("kernel.*",)).narrow(SPACE, SAFE)
