"""Reports: the metrics that agents send between trials, one packed vector an interval."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from knowledge_base.records import Report
from knowledge_base.repositories.base import Repository, found, record, stored
from knowledge_base.schema import AgentRow, ReportRow, TargetRow
from knowledge_base.vectors import VectorReader, VectorWriter
from targets.metrics import MetricVector


class ReportsRepository(Repository):
    """The agents' interval metrics. Old ones are merged to hourly means by retention."""

    def add(self, agent_id: int, at: datetime, metrics: MetricVector) -> Report:
        """Keep the metrics of the interval that ended `at`. Raises NotFound."""
        with self._database.write() as session:
            agent = found(session, AgentRow, agent_id, what="agent")
            target = session.get_one(TargetRow, agent.target_id)
            vectors = VectorWriter(session, target.description.get("metrics", ()))
            dictionary_id, packed = vectors.pack(metrics)
            row = ReportRow(
                agent_id=agent_id,
                at=at,
                samples=1,
                hourly=False,
                dictionary_id=dictionary_id,
                packed=packed,
            )
            return record(Report, stored(session, row), metrics=metrics)

    def of_agent(self, agent_id: int, since: datetime) -> list[Report]:
        """An agent's reports from `since` on, in time order; hourly means begin at their hour."""
        with self._database.read() as session:
            rows = session.scalars(
                select(ReportRow)
                .where(ReportRow.agent_id == agent_id, ReportRow.at >= since)
                .order_by(ReportRow.at, ReportRow.id)
            ).all()
            vectors = VectorReader(session, {row.dictionary_id for row in rows})
            return [
                record(Report, row, metrics=vectors.unpack(row.dictionary_id, row.packed))
                for row in rows
            ]
