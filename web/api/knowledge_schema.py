"""The form of what was learnt, for the API's description; `tuner.learning` reads it and a test
compares."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields


def _text(**options: Any) -> fields.String:
    return fields.String(required=True, **options)


def _whole(meaning: str = "", **options: Any) -> fields.Integer:
    return fields.Integer(required=True, metadata=_meaning(meaning), **options)


def _real(meaning: str = "", **options: Any) -> fields.Float:
    return fields.Float(required=True, metadata=_meaning(meaning), **options)


def _object(meaning: str = "", **options: Any) -> fields.Dict:
    return fields.Dict(required=True, metadata=_meaning(meaning), **options)


def _texts(meaning: str = "") -> fields.List[Any]:
    return fields.List(fields.String(), required=True, metadata=_meaning(meaning))


def _one(schema: type[ma.Schema], *, optional: bool = False) -> fields.Nested:
    return fields.Nested(schema, required=True, allow_none=optional)


def _many(schema: type[ma.Schema]) -> fields.List[Any]:
    return fields.List(fields.Nested(schema), required=True)


def _meaning(text: str) -> dict[str, str]:
    return {"description": text} if text else {}


class Estimate(ma.Schema):
    """A value with its 95 % interval."""

    value = _real()
    low = _real()
    high = _real()


class Finding(ma.Schema):
    """What every finding of the pipeline says of itself."""

    format = _whole("of this content; another number is another form")
    version = _whole("computed so many times for this session, this time included")
    computed_at = _text(metadata={"format": "date-time"})
    inputs = _object("what it was computed from: sessions, observations, the last trial")


class LaneRecord(ma.Schema):
    """One way of choosing configurations: its turns, and those that beat all trials before."""

    lane = _text()
    trials = _whole()
    wins = _whole()
    share = _real("of all lanes' trials, 0 to 1")


class KnobImportance(ma.Schema):
    """How much of the objective's variance over the space would go with one knob held fixed."""

    knob = _text()
    share = _one(Estimate)
    chance = _real("the probability that the share is above 0")
    place = _whole("1 is the most important")
    place_low = _whole()
    place_high = _whole()
    enters = _whole("the place on the Lasso path", allow_none=True)
    verdict = _text(metadata={"enum": ["matters", "no measurable effect", "undecided"]})


class KnobRanking(Finding):
    """Which knobs matter, the most important first."""

    knobs = _many(KnobImportance)
    model = _text(metadata={"description": "the one the intervals are of; empty where none fits"})
    skills = _object("model -> share of the variance of unseen trials that it predicts")
    trials = _whole("configurations measured")
    failures = _whole()
    reason = _text()


class WorkloadMatch(ma.Schema):
    """A known workload, and how likely it is this session's."""

    workload = _text()
    probability = _real()
    score = _real()
    load_ = _real(
        "this session's rate as a multiple of that workload's", data_key="load", attribute="load"
    )
    distance = _real("standard deviations a metric that load does not explain")
    shared_metrics = _whole()


class KnownRecording(ma.Schema):
    """Where a known workload was recorded."""

    targets = _texts()
    workload = _object()
    sessions = fields.List(fields.Integer(), required=True)


class WorkloadMapping(Finding):
    """Which known workload the session's is; the probabilities add up to 1."""

    name = _text(allow_none=True, metadata={"description": "null: none of the known ones"})
    confidence = _real("the probability of the answer, be it a workload or none")
    none_probability = _real()
    matches = _many(WorkloadMatch)
    known = _object("known workload -> where it was recorded", values=fields.Nested(KnownRecording))
    windows = _whole("of the session's baseline")
    reason = _text()


class MetricCluster(ma.Schema):
    """Metrics that move together, and the one that stands for them."""

    representative = _text()
    members = _texts()


class MetricPruning(Finding):
    """Which metrics of this kind of target say something of their own."""

    representatives = _texts("the metrics kept")
    clusters = _many(MetricCluster)
    dropped = _object("metric -> why it says nothing")
    factors = _whole()
    silhouette = _real("how well the clusters are apart, -1 to 1", allow_none=True)
    windows = _whole()
    reason = _text()


class Evidence(ma.Schema):
    """What was measured of one change: trials that varied the knob, that came near the new value,
    and pairs of trials that differ in nothing else."""

    varied = _whole()
    near = _whole()
    alone = _whole()


class Contribution(ma.Schema):
    """What changing one knob is expected to give; above 0 is better."""

    knob = _text()
    old = fields.Raw(required=True)
    new = fields.Raw(required=True)
    gain = _one(Estimate)
    certainty = _text(metadata={"enum": ["sure", "likely", "unclear", "no difference"]})
    evidence = _one(Evidence)
    text = _text()


class Explanation(Finding):
    """Why a configuration is expected to be better than the baseline, or not.

    Gains are of the objective's logarithm when `relative`, else in the objective's unit.
    """

    trial = _whole("the one whose configuration is explained")
    configuration = _object()
    relative = fields.Boolean(required=True)
    expected = _one(Estimate)
    measured = _one(Estimate, optional=True)
    contributions = _many(Contribution)
    unused = _texts("changed knobs that make no difference")
    simplified = _object("the configuration with these set back", allow_none=True)
    text = _text()


class PastSession(ma.Schema):
    """A session that this one learns from."""

    session = _whole()
    target = _text()
    workload = _text()
    trials = _whole("configurations measured or failed there")
    used = _whole("of them, how many the recommender is told")


class SessionKnowledgeSchema(ma.Schema):
    """What was learnt in one session; null is what was not computed yet."""

    session = _whole()
    lanes = _many(LaneRecord)
    ranking = _one(KnobRanking, optional=True)
    mapping = _one(WorkloadMapping, optional=True)
    pruning = _one(MetricPruning, optional=True)
    explanation = _one(Explanation, optional=True)
    history = _many(PastSession)


class ReportKnowledge(ma.Schema):
    """What was learnt, and `why`: changed knob -> what the change is expected to give."""

    lanes = _many(LaneRecord)
    ranking = _one(KnobRanking, optional=True)
    mapping = _one(WorkloadMapping, optional=True)
    explanation = _one(Explanation, optional=True)
    history = _many(PastSession)
    why = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class ConfirmedGain(ma.Schema):
    """What the paired windows said; a ratio above 1 is better."""

    ratio = _real()
    ci95 = fields.List(fields.Float(), required=True, allow_none=True)
    pairs = _whole()
    verdict = _text(metadata={"enum": ["better", "worse", "no gain found", "undecided"]})


class KnownTaskSchema(ma.Schema):
    """One session as a line of what is known."""

    session = _whole()
    target = _text()
    kind = _text(metadata={"description": "of the target; empty until its agent registered"})
    workload = _text()
    objective = _text()
    direction = _text(metadata={"enum": ["min", "max"]})
    state = _text()
    trials = _whole("search trials that ended, the baseline among them")
    failures = _whole("how many of them failed")
    gain = _one(ConfirmedGain, optional=True)
    top_knobs = _texts("the most important ones, the most important first")
    created_at = _text(metadata={"format": "date-time"})
