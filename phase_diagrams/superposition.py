"""A recipe for superposition to the matrix W_p, whose unit-norm columns are the feature directions, and its statistics.

Every dictionary here has shape (n_inputs, n_features), dtype float32, and columns of unit norm, as the theory of
arXiv 2506.15963 needs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

Dictionary = npt.NDArray[np.float32]
"""The superposition matrix W_p: (n_inputs, n_features), columns of unit norm."""

DICTIONARY_STREAM = 0x44494354
"""The purpose tag of this module's random stream ("DICT" in ASCII): keeps it apart from data and initialisation."""

ZERO_INTERFERENCE = 1e-6
"""Cosines below this count as zero: ten times the rounding of a float32 unit vector."""

UNIT_NORM_TOLERANCE = 1e-3
"""How far a norm may be from 1 to be taken as unit norm: three written decimals."""

TOY_BATCH = 256
"""Samples per step of the toy model: measured, 512 and 1,024 cost more and end no lower in the same time."""

TOY_LEARNING_RATE = 0.003
"""Adam's first rate, falling linearly to 0. Measured at n = 200, n_p = 20, S = 0.99: 0.01 left a feature out for one
of 2 seeds, 0.003 for none of 14."""

TOY_REPRESENTED_NORM = 0.5
"""Shortest column of a represented feature. Measured: trained norms are 1.0 to 1.3 or below 0.1; the few between belong
to features that share one direction."""

ADAM_DECAY = (0.9, 0.999)  # Kingma and Ba 2015, the defaults of every library
ADAM_EPSILON = 1e-8  # the same


@dataclass(frozen=True, slots=True)
class Interference:
    """How much the feature directions of a dictionary overlap; all cosines are between different features."""

    coherence: float
    """Largest absolute cosine, 0 to 1; 0 for a single feature."""
    welch_bound: float
    """The least coherence any n directions in n_p dimensions can have (Welch 1974); 0 if n <= n_p."""
    max_positive: float
    """Largest positive cosine, 0 to 1; 0 if there is none."""
    mean_square: float
    """Mean squared cosine over ordered pairs; at least welch_bound^2, with equality for tight frames."""
    share_positive: float
    """Share of pairs with a cosine above 1e-6; the three shares add up to 1, or are all 0 for a single feature."""
    share_negative: float
    """Share of pairs with a cosine below -1e-6."""
    share_zero: float
    """Share of pairs with a cosine within 1e-6 of 0."""
    non_positive: bool
    """No cosine above 1e-6: the condition of Theorems 1 to 3 of arXiv 2506.15963."""
    feature_dimensionality: float
    """Mean over features of |W_i|^2 / sum_j (w_i . W_j)^2, the share of a dimension that a feature has (Elhage et al.
    2022, "Toy Models of Superposition", section on feature dimensionality)."""


def dictionary_generator(seed: int) -> np.random.Generator:
    """Return the counter-based generator of `superposition.seed`, apart from data and initialisation streams."""
    if seed < 0:
        raise ValueError(f"superposition.seed is {seed}; allowed are integers >= 0")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed], spawn_key=(DICTIONARY_STREAM,))))


def random_unit(n_features: int, n_inputs: int, seed: int) -> Dictionary:
    """Draw n_features independent directions, uniform on the unit sphere of n_inputs dimensions."""
    _check_sizes(n_features, n_inputs)
    return _unit_columns(dictionary_generator(seed).standard_normal((n_inputs, n_features)))


def toy_model_multiplications(n_features: int, n_inputs: int, steps: int) -> int:
    """Multiplications in the products of a `toy_model`; a core did 4e9 (n_p = 20) to 3e10 (n_p = 256) a second."""
    return 6 * n_features * n_inputs * TOY_BATCH * steps  # three products forward and back, twice W each


def toy_model(n_features: int, n_inputs: int, sparsity: float, steps: int, seed: int) -> Dictionary:
    """Train the toy model of superposition and return its W with columns scaled to unit norm.

    Elhage et al. 2022, "Toy Models of Superposition": minimise over W and b the mean of |x - relu(W^T W x + b)|^2 with
    each x_i zero with probability `sparsity`, else uniform on (0, 1]; Adam, `steps` batches of TOY_BATCH fresh samples.
    The same arguments give the same bits on one kind of CPU (BLAS is held to one thread meanwhile). Raises ValueError
    if the trained model leaves a feature out, as it does where sparsity is low for n_features / n_inputs.
    """
    _check_sizes(n_features, n_inputs)
    if not 0.0 <= sparsity < 1.0:
        raise ValueError(f"superposition.sparsity is {sparsity}; allowed are numbers in [0, 1)")
    if steps < 1:
        raise ValueError(f"superposition.steps is {steps}; allowed are integers >= 1")
    with threadpool_limits(limits=1, user_api="blas"):
        weights = _train_toy_model(n_features, n_inputs, sparsity, steps, dictionary_generator(seed))
    norms = np.linalg.norm(weights.astype(np.float64), axis=0)  # (n_features,)
    left_out = int(np.sum(~(norms >= TOY_REPRESENTED_NORM)))
    if left_out:
        raise ValueError(
            f"the toy model left {left_out} of {n_features} features unrepresented in {n_inputs} dimensions with "
            f"superposition.sparsity = {sparsity} and superposition.steps = {steps}; a higher sparsity (below 1), more "
            "steps or another superposition.seed makes room for all of them"
        )
    return _unit_columns(weights)


def polygon(mono: int, digon: int, pentagon: int) -> Dictionary:
    """Build the dictionary of `mono` features alone in a dimension, antipodal pairs, and regular pentagons in a plane.

    n_features = mono + 2 digon + 5 pentagon and n_inputs = mono + digon + 2 pentagon; columns come in that order, on
    successive dimensions. Digons interfere by -1 only; pentagons by cos 72 = .309 too, so a dictionary with a pentagon
    is outside the theory's condition of non-positive interference.
    """
    for name, count in (("mono", mono), ("digon", digon), ("pentagon", pentagon)):
        if count < 0:
            raise ValueError(f"superposition.{name} is {count}; allowed are integers >= 0")
    n_features, n_inputs = mono + 2 * digon + 5 * pentagon, mono + digon + 2 * pentagon
    if n_features == 0:
        raise ValueError("superposition.mono, digon and pentagon are all 0; at least one must be positive")
    dictionary = np.zeros((n_inputs, n_features))
    angles = 2.0 * np.pi * np.arange(5) / 5.0
    blocks = [np.ones((1, 1))] * mono + [np.array([[1.0, -1.0]])] * digon
    blocks += [np.stack([np.cos(angles), np.sin(angles)])] * pentagon
    row = column = 0
    for block in blocks:
        height, width = block.shape
        dictionary[row : row + height, column : column + width] = block
        row, column = row + height, column + width
    return _unit_columns(dictionary)


def explicit(matrix: npt.ArrayLike, shape: tuple[int, int] | None = None) -> Dictionary:
    """Check a given matrix (n_inputs, n_features) and return it with unit-norm columns.

    A matrix whose norms are all within 1e-3 of 1 comes back as it is, so float32 values keep their bits; otherwise
    every column is scaled to unit norm, as the theory needs. `shape` is the (n_inputs, n_features) that is expected.
    Raises ValueError for anything but a full rectangle of finite numbers of that shape, and for a zero column.
    """
    try:
        dictionary = np.array(matrix, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"superposition.matrix must be rows of numbers, all of one length ({error})") from error
    if dictionary.ndim != 2 or dictionary.size == 0:
        raise ValueError(
            f"superposition.matrix has shape {dictionary.shape}; it must be (n_inputs, n_features), not empty"
        )
    if shape is not None and dictionary.shape != shape:
        raise ValueError(
            f"superposition.matrix has shape {dictionary.shape}; (data.n_inputs, data.n_features) = {shape} is needed"
        )
    if not np.isfinite(dictionary).all():
        row, column = np.argwhere(~np.isfinite(dictionary))[0]
        raise ValueError(
            f"superposition.matrix[{row}][{column}] is {dictionary[row, column]}; allowed are finite numbers"
        )
    empty = np.flatnonzero(~dictionary.any(axis=0))
    if empty.size:
        raise ValueError(f"superposition.matrix has a zero column ({empty[0]}): a feature needs a direction")
    with np.errstate(over="ignore", under="ignore"):
        norms = np.linalg.norm(dictionary, axis=0)
    if np.all(np.abs(norms - 1.0) <= UNIT_NORM_TOLERANCE):
        return dictionary.astype(np.float32)
    return _unit_columns(dictionary)


def interference(dictionary: npt.NDArray[np.floating]) -> Interference:
    """Measure coherence and interference of a dictionary (n_inputs, n_features); column lengths do not matter."""
    n_inputs, n_features = dictionary.shape
    directions = _scaled_columns(dictionary)
    gram = directions.T @ directions  # (n_features, n_features)
    dimensionality = float(np.mean(1.0 / np.sum(gram * gram, axis=1)))
    cosines = gram[~np.eye(n_features, dtype=bool)]
    if cosines.size == 0:
        return Interference(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, non_positive=True, feature_dimensionality=dimensionality)
    return Interference(
        coherence=min(1.0, float(np.abs(cosines).max())),
        welch_bound=float(np.sqrt(max(0.0, (n_features - n_inputs) / (n_inputs * (n_features - 1))))),
        max_positive=min(1.0, max(0.0, float(cosines.max()))),
        mean_square=float(np.mean(cosines * cosines)),
        share_positive=float(np.mean(cosines > ZERO_INTERFERENCE)),
        share_negative=float(np.mean(cosines < -ZERO_INTERFERENCE)),
        share_zero=float(np.mean(np.abs(cosines) <= ZERO_INTERFERENCE)),
        non_positive=bool(cosines.max() <= ZERO_INTERFERENCE),
        feature_dimensionality=dimensionality,
    )


def _check_sizes(n_features: int, n_inputs: int) -> None:
    for name, size in (("n_features", n_features), ("n_inputs", n_inputs)):
        if size < 1:
            raise ValueError(f"data.{name} is {size}; allowed are integers >= 1")


def _scaled_columns(matrix: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    # By the largest entry first: a norm would overflow or underflow where the direction is still exact.
    scaled = matrix.astype(np.float64) / np.abs(matrix.astype(np.float64)).max(axis=0)
    unit: npt.NDArray[np.float64] = scaled / np.linalg.norm(scaled, axis=0)
    return unit


def _unit_columns(matrix: npt.NDArray[np.floating]) -> Dictionary:
    return _scaled_columns(matrix).astype(np.float32)


def _train_toy_model(
    n_features: int, n_inputs: int, sparsity: float, steps: int, generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    # Xavier scale: small against the unit norms that training ends with, so that it is training that arranges them.
    scale = np.float32(np.sqrt(2.0 / (n_features + n_inputs)))
    weights = generator.standard_normal((n_inputs, n_features), dtype=np.float32) * scale
    bias = np.zeros(n_features, np.float32)
    parameters = (weights, bias)
    means = tuple(np.zeros_like(parameter) for parameter in parameters)
    squares = tuple(np.zeros_like(parameter) for parameter in parameters)
    uniform = np.empty((TOY_BATCH, n_features), np.float32)
    for step in range(steps):
        generator.random(out=uniform, dtype=np.float32)
        # u < p with probability p = 1 - S, and then 1 - u / p is uniform on (0, 1]: one draw makes support and value.
        features = np.maximum(1.0 - uniform / np.float32(1.0 - sparsity), 0.0)
        rate = TOY_LEARNING_RATE * (1.0 - step / steps)
        gradients = _toy_gradients(weights, bias, features)
        for parameter, gradient, mean, square in zip(parameters, gradients, means, squares, strict=True):
            _adam_step(parameter, gradient, mean, square, rate, step + 1)
    return weights


def _toy_gradients(
    weights: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], features: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the gradients in W and b of the batch mean of |x - relu(W^T W x + b)|^2."""
    inputs = features @ weights.T  # (batch, n_inputs)
    outputs = inputs @ weights + bias  # (batch, n_features), before the relu
    errors = np.maximum(outputs, 0.0) - features
    errors *= outputs > 0.0
    errors *= np.float32(2.0 / len(features))  # now the gradient in outputs
    # W enters twice: as the decoder W^T (inputs given) and, through the inputs, as the encoder.
    gradient = inputs.T @ errors + (errors @ weights.T).T @ features
    return gradient.astype(weights.dtype, copy=False), errors.sum(axis=0)


def _adam_step(
    parameter: npt.NDArray[np.float32],
    gradient: npt.NDArray[np.float32],
    mean: npt.NDArray[np.float32],
    square: npt.NDArray[np.float32],
    rate: float,
    step: int,
) -> None:
    mean *= ADAM_DECAY[0]
    mean += (1.0 - ADAM_DECAY[0]) * gradient
    square *= ADAM_DECAY[1]
    square += (1.0 - ADAM_DECAY[1]) * gradient * gradient
    rate_corrected = rate / (1.0 - ADAM_DECAY[0] ** step)
    parameter -= rate_corrected * mean / (np.sqrt(square / (1.0 - ADAM_DECAY[1] ** step)) + ADAM_EPSILON)
