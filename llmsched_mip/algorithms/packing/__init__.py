"""P||Cmax at full size: the Minimizing Makespan Bin Packing relaxation (docs/problem.md, section 5)."""

from llmsched_mip.algorithms.packing.pack import pack
from llmsched_mip.algorithms.packing.packing import Packing, Step

__all__ = ["Packing", "Step", "pack"]
