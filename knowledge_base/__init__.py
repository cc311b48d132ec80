"""What is known: the history of every measurement, in SQL. The only package that speaks it."""

from knowledge_base.history import export_history, import_history
from knowledge_base.migrations import current, head, upgrade
from knowledge_base.store import Store

__all__ = ["Store", "current", "export_history", "head", "import_history", "upgrade"]
