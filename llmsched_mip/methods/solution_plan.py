"""The plan in a solution of an exported model that was solved elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from llmsched_mip import bounds
from llmsched_mip.errors import InvalidInputError, InvalidPlanError
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.measures import Measures
from llmsched_mip.methods.auto import QUICK_BOUNDS
from llmsched_mip.methods.exported import SECONDS, model_for_export
from llmsched_mip.methods.mmbpp import best_threshold, client_lists
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.user_model import build_user_model, extract_user_plan
from llmsched_mip.models import mmbpp, round_indexed, stage_indexed
from llmsched_mip.plan import Plan
from llmsched_mip.solvers import FORMATS, SolverSolution, exported_names, standard_form

if TYPE_CHECKING:
    import pyomo.environ as pyo

ROW = re.compile(r"([cr]_[elu]_.*_|ONE_VAR_CONSTANT|obj\w*|objective)")
"""Names in an exported file that stand for no variable of the model."""
TOLERANCE = 1e-4
"""Of an activity: solvers keep limits to 1e-6, and tables have six digits."""


class ReadSolution(NamedTuple):
    """The plan in a solution, with its claims, its measures, and the model's objective at the solution."""

    plan: Plan
    measures: Measures
    objective: float


def plan_of_solution(instance: Instance, model_name: str, solution: SolverSolution) -> ReadSolution:
    """Give the variables of the exported model their values, and extract the plan as the full method does.

    Parameters
    ----------
    instance : Instance
        With the objective that the model was exported for.
    model_name : str
        As for `model_for_export`.
    solution : SolverSolution

    Raises
    ------
    InvalidInputError
        Names that the model does not have, values that break a limit of it, or another objective value: the file is
        of another instance, model or objective.
    InvalidPlanError
        What was extracted is no feasible plan.
    """
    instance = instance.exclusive()
    module, model = (
        build_user_model(model_name, instance)
        if model_name.endswith(".py")
        else (None, model_for_export(instance, model_name))
    )
    _set_values(model, model_name, instance, solution)
    objective = _checked_objective(model, model_name, instance, solution)
    plan = (
        _extracted(model, model_name, instance)
        if module is None
        else extract_user_plan(model_name, module, model, instance)
    )
    evaluation = evaluate(instance, plan)
    if evaluation.violations:
        raise InvalidPlanError(f"the solution gives no feasible plan: {evaluation.violations[0]}")
    proven = {bound.name: bound.value for bound in bounds.compute(instance, names=QUICK_BOUNDS)}
    value = evaluation.measures.objective(instance.objective)
    return ReadSolution(plan.with_claims(value, proven, 0.0), evaluation.measures, objective)


def _set_values(model: pyo.ConcreteModel, name: str, instance: Instance, solution: SolverSolution) -> None:
    """The values by the names of the file; a variable that it leaves out is 0."""
    unknown: list[str] = []
    for ending in FORMATS:
        variables = exported_names(model, ending)
        unknown = [key for key in solution.values if key not in variables and not ROW.fullmatch(key)]
        if unknown:
            continue
        for key, variable in variables.items():
            value = solution.values.get(key, 0.0)
            variable.set_value(value if variable.is_continuous() else round(value), skip_validation=True)
        return
    raise InvalidInputError(
        "", f"{unknown[0]} is no variable of the model {name} of {instance.name}: another instance, model or objective?"
    )


def _checked_objective(model: pyo.ConcreteModel, name: str, instance: Instance, solution: SolverSolution) -> float:
    """The objective at the values; that all rows hold there and that it is the file's shows whose solution it is."""
    form = standard_form(model)
    if form is None:
        raise InvalidInputError("model", f"{name} of {instance.name} has no solution")
    arrays, another = form.model, f"{name} of {instance.name}: another instance, model or objective?"
    x = np.array([variable.value or 0.0 for variable in form.columns])
    activity, size = arrays.matrix @ x, 1.0 + abs(arrays.matrix) @ np.abs(x)
    over = np.maximum(activity - arrays.row_upper, arrays.row_lower - activity) / size
    broken = int(np.argmax(over)) if len(over) else 0
    if len(over) and over[broken] > TOLERANCE:
        raise InvalidInputError("", f"the values break {form.rows[broken].name} of {another}")
    outside = np.maximum(x - arrays.upper, arrays.lower - x) / (1.0 + np.abs(x))
    if len(x) and outside.max() > TOLERANCE:
        raise InvalidInputError("", f"{form.columns[int(np.argmax(outside))].name} is out of its bounds in {another}")
    objective = float(arrays.cost @ x) + arrays.offset
    given = solution.objective
    if given is not None and not abs(objective - given) <= TOLERANCE * (1.0 + abs(given)):
        raise InvalidInputError("", f"says objective {given:.6g}, its values give {objective:.6g} in {another}")
    return objective


def _extracted(model: Any, name: str, instance: Instance) -> Plan:
    if name == "round_indexed":
        return round_indexed.extract(model, instance)
    if name == "stage_indexed":
        return stage_indexed.extract(model, instance)
    # The packing says which client serves a request; when to prefill is chosen as the method mmbpp does.
    with Search(instance, SECONDS) as search:
        lists = client_lists(instance, mmbpp.extract(model, instance), len(model.J))
        return best_threshold(search, instance, lists)
