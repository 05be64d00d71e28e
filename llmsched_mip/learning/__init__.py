"""Training of the learned policy on the simulator; only here is CMA-ES imported."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from llmsched_mip.learning.goal import Goal
    from llmsched_mip.learning.train import Settings, policy_text, train

    __all__ = ["Goal", "Settings", "policy_text", "train"]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submod_attrs={"goal": ["Goal"], "train": ["Settings", "policy_text", "train"]},
    )
