"""Trials to packs: what is trained together, and in which order the packs start."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Condition, Trial, content_digest, trial_namer

MAX_PACK_COST = 4e11
"""Largest cost of a pack in `trial_cost` units; heuristic: about 20 s on one core of 2024, so that progress shows,
little is lost when a process dies, and the tail of a sweep is short."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Trials on one data stream, trained together in one Ray Tune trial; `trial_ids` names them in order."""

    pack_id: str
    sparsity: float
    seed: int
    trials: tuple[Trial, ...]
    trial_ids: tuple[str, ...]
    cost: float


def trial_cost(spec: JobSpec, condition: Condition) -> float:
    """Arithmetic of one training, in multiply-adds: encoding, choosing the active latents, and their gradients."""
    encode = spec.data.n_inputs * condition.hidden_dim
    active = condition.activation.k if condition.activation.kind == "topk" else condition.hidden_dim
    # Choosing k of m passes every latent through up to k comparisons; a gradient is three passes over the inputs.
    choose = condition.hidden_dim * (condition.activation.k or 1)
    gradient = 3 * spec.data.n_inputs * (active or 0) + 20 * condition.hidden_dim
    return float(spec.training.steps * spec.training.batch_size * (encode + choose + gradient))


def stream_cost(spec: JobSpec) -> float:
    """Arithmetic of drawing a data stream, which the trials of a pack share, in multiply-adds.

    Ten a feature: a Philox word of ten rounds of two multiplications for four words, and the feature's magnitude.
    """
    return float(10 * spec.training.steps * spec.training.batch_size * spec.data.n_features)


def cut_packs(spec: JobSpec, trials: Iterable[Trial]) -> list[Pack]:
    """Group trials that share a data stream, cut groups at MAX_PACK_COST, costliest packs first.

    How packs are cut never changes a trial's numbers, only when and where it is trained.
    """
    name = trial_namer(spec)
    packs = []
    streams = groupby(sorted(trials, key=_stream), key=_stream)
    for _, members in streams:
        group: list[Trial] = []
        cost = 0.0
        for trial in members:
            extra = trial_cost(spec, trial.condition)
            if group and cost + extra > MAX_PACK_COST:
                packs.append(_pack(group, [name(t) for t in group], cost))
                group, cost = [], 0.0
            group.append(trial)
            cost += extra
        packs.append(_pack(group, [name(t) for t in group], cost))
    return sorted(packs, key=lambda pack: (-pack.cost, pack.pack_id))


def halve(pack: Pack) -> tuple[Pack, ...]:
    """Two packs of half the trials each, or the pack itself if it holds one trial."""
    middle = len(pack.trials) // 2
    if not middle:
        return (pack,)
    return tuple(
        _pack(list(pack.trials[part]), list(pack.trial_ids[part]), pack.cost / 2)
        for part in (slice(middle), slice(middle, None))
    )


def _stream(trial: Trial) -> tuple[float, int]:
    return trial.condition.sparsity, trial.seed


def _pack(trials: list[Trial], trial_ids: list[str], cost: float) -> Pack:
    sparsity, seed = _stream(trials[0])
    return Pack(content_digest(trial_ids), sparsity, seed, tuple(trials), tuple(trial_ids), cost)
