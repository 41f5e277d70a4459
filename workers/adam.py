"""Gradients to the next parameters: Adam, and unit rows for an untied decoder."""

from typing import Any

import numba
import numpy as np

from workers.lanes import LANES, divide, fma, load, multiply, splat, square_root, store, subtract, total

_ZERO = np.float32(0.0)


@numba.njit(cache=True)
def adam(parameter: Any, gradient: Any, mean: Any, square: Any, rate: Any, correction1: Any, correction2: Any) -> None:
    """One Adam step (Kingma & Ba 2015, Algorithm 1; beta 0.9 and 0.999, epsilon 1e-8); zeroes the gradient."""
    beta1, beta2, epsilon = splat(np.float32(0.9)), splat(np.float32(0.999)), splat(np.float32(1e-8))
    rest1, rest2 = splat(np.float32(0.1)), splat(np.float32(0.001))
    size, unbias = splat(np.float32(rate / correction1)), splat(np.float32(1.0 / np.sqrt(correction2)))
    zero = splat(_ZERO)
    for at in range(0, parameter.size, LANES):
        g = load(gradient, at)
        m = fma(beta1, load(mean, at), multiply(rest1, g))
        v = fma(beta2, load(square, at), multiply(rest2, multiply(g, g)))
        step = divide(multiply(size, m), fma(square_root(v), unbias, epsilon))
        store(mean, at, m)
        store(square, at, v)
        store(parameter, at, subtract(load(parameter, at), step))
        store(gradient, at, zero)


@numba.njit(cache=True)
def tangent(decoder: Any, gradient: Any, n_latents: Any, width: Any) -> None:
    """Take from each row's gradient its part along the row: rows of unit norm move on the sphere only."""
    for latent in range(n_latents):
        dot = splat(_ZERO)
        for d in range(latent * width, (latent + 1) * width, LANES):
            dot = fma(load(decoder, d), load(gradient, d), dot)
        along = splat(total(dot))
        for d in range(latent * width, (latent + 1) * width, LANES):
            store(gradient, d, subtract(load(gradient, d), multiply(along, load(decoder, d))))


@numba.njit(cache=True)
def unit_rows(decoder: Any, n_latents: Any, width: Any) -> None:
    """Scale each row to unit norm."""
    for latent in range(n_latents):
        square = splat(_ZERO)
        for d in range(latent * width, (latent + 1) * width, LANES):
            square = fma(load(decoder, d), load(decoder, d), square)
        norm = splat(np.float32(np.sqrt(total(square))))
        for d in range(latent * width, (latent + 1) * width, LANES):
            store(decoder, d, divide(load(decoder, d), norm))
