"""HEBO in an environment of its own: run as a script by `child.py`, over JSON lines.

It imports nothing of Lontra. HEBO 0.3.6 wants numpy 1.24, scipy 1.12, pandas 2.3, GPy 1.13,
pymoo 0.6.0 and scikit-learn 1.5.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from typing import Any


def space_of(params: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """HEBO's own description of the parameters."""
    described = []
    for param in params:
        name, kind, levels = param["name"], param["type"], param["levels"]
        if kind == "categorical" or levels == 1:
            described.append({"name": name, "type": "cat", "categories": list(range(levels))})
        elif kind == "ordinal":
            described.append({"name": name, "type": "int", "lb": 0, "ub": levels - 1})
        else:
            whole = {True: "pow_int", False: "int"}
            real = {True: "pow", False: "num"}
            named = (whole if kind == "int" else real)[param["log"]]
            number = int if kind == "int" else float
            entry = {"name": name, "type": named}
            entry.update(lb=number(param["low"]), ub=number(param["high"]))
            if param["log"]:
                entry["base"] = 10
            described.append(entry)
    return described


class Session:
    """One optimizer, from start to the end of the input."""

    def __init__(self, message: dict[str, Any]) -> None:
        import numpy as np
        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        np.random.seed(message["seed"])
        torch.manual_seed(message["seed"])
        torch.set_num_threads(1)
        self.names = [param["name"] for param in message["params"]]
        self.hebo = HEBO(
            DesignSpace().parse(space_of(message["params"])), scramble_seed=message["seed"]
        )

    def ask(self) -> dict[str, Any]:
        """One suggestion."""
        row = self.hebo.suggest(n_suggestions=1).iloc[0]
        return {"point": [float(row[name]) for name in self.names]}

    def tell(self, message: dict[str, Any]) -> dict[str, Any]:
        """What a point cost."""
        import numpy as np
        import pandas as pd

        row = pd.DataFrame([dict(zip(self.names, message["point"]))])  # noqa: B905 - older Pythons
        for name, parameter in self.hebo.space.paras.items():
            if not parameter.is_numeric or parameter.is_discrete:
                row[name] = row[name].astype(int)
        self.hebo.observe(row, np.array([[message["cost"]]]))
        return {}


def main() -> None:
    """Answer each line of standard input; what libraries print goes to standard error."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    session = None
    answer: dict[str, Any]
    for line in sys.stdin:
        message = json.loads(line)
        try:
            if message["op"] == "start":
                session, answer = Session(message), {}
            elif session is None:
                answer = {"error": "not started"}
            else:
                answer = session.ask() if message["op"] == "ask" else session.tell(message)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answer["cpu_seconds"] = time.process_time()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
