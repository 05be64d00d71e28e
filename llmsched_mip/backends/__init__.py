"""The way from a model to a solver and back: HiGHS, and CBC through PuLP as a second opinion."""

from llmsched_mip.backends.arrays import ArrayModel, PyomoForm, standard_form
from llmsched_mip.backends.cbc import solve_with_cbc
from llmsched_mip.backends.export import write_model
from llmsched_mip.backends.highs import solve, solve_arrays
from llmsched_mip.backends.result import SolveResult, Status, TracePoint

__all__ = [
    "ArrayModel",
    "PyomoForm",
    "SolveResult",
    "Status",
    "TracePoint",
    "solve",
    "solve_arrays",
    "solve_with_cbc",
    "standard_form",
    "write_model",
]
