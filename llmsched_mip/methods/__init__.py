"""Methods: construction, packing and search; `solve` drives them and keeps the best plan and the best bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from llmsched_mip.methods.registry import DEFAULT_TIME_LIMIT_S, METHODS

if TYPE_CHECKING:
    from llmsched_mip.methods.comparison import first_come_first_served
    from llmsched_mip.methods.exported import model_for_export
    from llmsched_mip.methods.kernels import compile_kernels
    from llmsched_mip.methods.portfolio import QUICK_BOUNDS, SLOW_BOUNDS, SOLVERS, solve
    from llmsched_mip.methods.search import Search
    from llmsched_mip.methods.solution_plan import plan_of_solution
    from llmsched_mip.methods.stochastic.solve import solve_stochastic

    __all__ = [
        "DEFAULT_TIME_LIMIT_S",
        "METHODS",
        "QUICK_BOUNDS",
        "SLOW_BOUNDS",
        "SOLVERS",
        "Search",
        "compile_kernels",
        "first_come_first_served",
        "model_for_export",
        "plan_of_solution",
        "solve",
        "solve_stochastic",
    ]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "comparison": ["first_come_first_served"],
            "exported": ["model_for_export"],
            "kernels": ["compile_kernels"],
            "portfolio": ["QUICK_BOUNDS", "SLOW_BOUNDS", "SOLVERS", "solve"],
            "search": ["Search"],
            "solution_plan": ["plan_of_solution"],
            "stochastic.solve": ["solve_stochastic"],
        },
    )
    __all__ += ["DEFAULT_TIME_LIMIT_S", "METHODS"]
