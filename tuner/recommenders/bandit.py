"""A bandit over known configurations: plays what is good already, and learns by playing."""

from __future__ import annotations

import numpy as np

from targets.settings import Setting
from tuner.errors import SpaceExhausted
from tuner.history import History
from tuner.noise import shrink
from tuner.recommenders.arms import ARMS, newcomers, playable, trials, wants_more
from tuner.recommenders.base import Suggestion
from tuner.recommenders.belief import THOMPSON, UCB, Belief
from tuner.recommenders.playing import play_again, play_another
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.wording import moves


class BanditRecommender(SequentialRecommender):
    """Chooses again and again among a few configurations, so that little is lost meanwhile.

    For a system in service, where every trial is lived with: it minimises the sum of what the
    trials cost, not the cost of the best. Each arm is tried once; then one is played again, by its
    posterior, and a large space lends further arms slowly (`arms`). On an objective that does not
    scatter a repeat teaches nothing: there it goes through its arms, then surveys the space.
    """

    name = "bandit"
    summary = (
        "plays a few known configurations again and again: for systems in service, under noise"
    )
    source = (
        "Thompson, 1933; Kaufmann, Cappe and Garivier, AISTATS 2012; "
        "Wang, Audibert and Munos, NIPS 2008"
    )
    heeds_limits = True
    settings_declared = (
        ARMS,
        Setting(
            name="policy",
            default=THOMPSON,
            choices=(THOMPSON, UCB),
            help="play the best of one draw, or the best by how good it may well be",
        ),
    )

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        most = int(self.options["arms"])
        if untried := newcomers(history, most):
            new = untried[0]
            suggestion = Suggestion(
                configuration=new.configuration,
                kind=new.kind,
                lane=self.name,
                reason=f"Tried once, as every known configuration is: {new.origin}. "
                f"{moves(history, new.configuration)}",
            )
            return suggestion, state
        arms = playable(history, most)
        if len(arms) == 0 or wants_more(history, most):
            try:
                return play_another(history, state, rng, lane=self.name, playing=len(arms))
            except SpaceExhausted:
                if len(arms) == 0:
                    raise
        means, sds = shrink(history.costs, history.counts, history.noise)
        belief = Belief.of(means[arms], np.diag(sds[arms]), history.noise)
        policy = str(self.options["policy"])
        arm = belief.choose(policy, 1 + trials(history), rng)
        outcome = history.measured[arms[arm]]
        suggestion = play_again(history, outcome, belief, arm, rng, lane=self.name, policy=policy)
        return suggestion, state
