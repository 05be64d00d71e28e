"""The way from a model to a solver and back: HiGHS, and CBC through PuLP as a second opinion."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from llmsched_mip.solvers.arrays import ArrayModel, PyomoForm, standard_form
    from llmsched_mip.solvers.cbc import solve_with_cbc
    from llmsched_mip.solvers.export import FORMATS, exported_names, write_model
    from llmsched_mip.solvers.highs import EXACT, solve, solve_arrays
    from llmsched_mip.solvers.result import SolveResult, Status, TracePoint
    from llmsched_mip.solvers.solution_files import SolverSolution, read_solution_file

    __all__ = [
        "EXACT",
        "FORMATS",
        "ArrayModel",
        "PyomoForm",
        "SolveResult",
        "SolverSolution",
        "Status",
        "TracePoint",
        "exported_names",
        "read_solution_file",
        "solve",
        "solve_arrays",
        "solve_with_cbc",
        "standard_form",
        "write_model",
    ]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "arrays": ["ArrayModel", "PyomoForm", "standard_form"],
            "cbc": ["solve_with_cbc"],
            "export": ["FORMATS", "exported_names", "write_model"],
            "highs": ["EXACT", "solve", "solve_arrays"],
            "result": ["SolveResult", "Status", "TracePoint"],
            "solution_files": ["SolverSolution", "read_solution_file"],
        },
    )
