"""The data section of a spec to the planted dictionary W_p."""

import numpy as np
import numpy.typing as npt

from phase_diagrams.spec import Data, Explicit, Polygon, RandomUnit
from phase_diagrams.superposition import explicit, polygon, random_unit, toy_model, toy_model_multiplications

PROMPT_MULTIPLICATIONS = 5 * 10**10
"""Most multiplications of a dictionary that somebody waits for: 2 to 13 s as measured; the paper's size fits."""


def is_prompt(data: Data) -> bool:
    """Whether W_p is there within seconds; all laws but a toy model of many steps are."""
    law = data.superposition
    if isinstance(law, RandomUnit | Polygon | Explicit):
        return True
    return toy_model_multiplications(data.n_features, data.n_inputs, law.steps) <= PROMPT_MULTIPLICATIONS


def plant_dictionary(data: Data) -> npt.NDArray[np.float32]:
    """W_p, shape (n_inputs, n_features), float32, columns of unit norm.

    Raises ValueError where the law gives no dictionary (a toy model that leaves features unrepresented).
    """
    law = data.superposition
    if isinstance(law, RandomUnit):
        return random_unit(data.n_features, data.n_inputs, law.seed)
    if isinstance(law, Polygon):
        return polygon(law.mono, law.digon, law.pentagon)
    if isinstance(law, Explicit):
        return explicit(np.array(law.matrix, dtype=np.float64))
    return toy_model(data.n_features, data.n_inputs, law.sparsity, law.steps, law.seed)
