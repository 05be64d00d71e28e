"""Models as they are written for other solvers."""

from __future__ import annotations

from typing import Any

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance
from llmsched_mip.methods.full import MOST_NONZEROS
from llmsched_mip.methods.lists import list_schedules
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.user_model import build_user_model
from llmsched_mip.models import MODELS, SIZES
from llmsched_mip.models.horizon import horizon_from_value

SECONDS = 10.0
SLACK = 1e-6


def model_for_export(instance: Instance, name: str) -> Any:
    """The Pyomo model of an instance; what a list schedule needs bounds the rounds of the indexed ones.

    Parameters
    ----------
    instance : Instance
    name : str
        One of `MODELS`, or the path of a model file of the user's, ``.py``.

    Raises
    ------
    InvalidInputError
        The model would be too large, or the user's file is not a model.
    """
    instance = instance.exclusive()
    if name.endswith(".py"):
        return build_user_model(name, instance)[1]
    if name not in SIZES:
        return MODELS[name](instance)
    with Search(instance, SECONDS) as search:
        list_schedules(search)
    horizon = None
    if search.value is not None:
        horizon = horizon_from_value(instance, search.value * (1 + SLACK) + SLACK)
    size = SIZES[name](instance, horizon)
    if size["nonzeros"] > MOST_NONZEROS:
        raise InvalidInputError(
            "--model",
            f"{name} of this instance has about {size['columns']:,} columns and {size['nonzeros']:,} nonzeros, "
            f"at most {MOST_NONZEROS:,} are written",
        )
    return MODELS[name](instance, horizon=horizon)
