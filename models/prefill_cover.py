"""Least-cost cover of all prompts by prefill iterations of given levels (docs/problem.md, section 5).

Sets
    L   levels of the prefill time, in increasing order
Parameters
    s_l   seconds of an iteration of level l
    c_l   most prompt tokens in an iteration of level l
    N_l   prompt tokens of the requests that need level l or above
    K_l   fewest iterations that those requests need
Variables
    z_l   iterations of level l, integer, ≥ 0
Objective
    min  Σ_l s_l z_l
Constraints
    Σ_{m ≥ l} c_m z_m ≥ N_l     for l in L   (tokens)
    Σ_{m ≥ l} z_m ≥ K_l         for l in L   (iterations)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyomo.environ as pyo


def build(
    seconds: Sequence[float], capacity: Sequence[int], tokens: Sequence[int], iterations: Sequence[int]
) -> pyo.ConcreteModel:
    """Build the model.

    Parameters
    ----------
    seconds, capacity, tokens, iterations : sequences, one value per level
        The parameters s, c, N and K above.
    """
    import pyomo.environ as pyo

    model = pyo.ConcreteModel("prefill_cover")
    levels = range(len(seconds))
    model.L = pyo.Set(initialize=levels)
    model.z = pyo.Var(model.L, domain=pyo.NonNegativeIntegers)
    model.cost = pyo.Objective(expr=sum(seconds[m] * model.z[m] for m in levels))

    @model.Constraint(model.L)
    def tokens_covered(model, m):  # type: ignore[no-untyped-def]
        return sum(capacity[k] * model.z[k] for k in levels if k >= m) >= tokens[m]

    @model.Constraint(model.L)
    def iterations_covered(model, m):  # type: ignore[no-untyped-def]
        return sum(model.z[k] for k in levels if k >= m) >= iterations[m]

    return model


def extract(model: pyo.ConcreteModel) -> list[int]:
    """Iterations of each level in the solution that the model holds."""
    import pyomo.environ as pyo

    return [round(pyo.value(model.z[m])) for m in model.L]
