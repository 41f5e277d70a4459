"""Trials to packs: what is trained together, and in which order the packs start."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from phase_diagrams.pace import ESTIMATED, Paces
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Condition, Trial, content_digest, trial_namer

MAX_PACK_SECONDS = 20.0
"""Longest training of a pack on one core; heuristic: so that progress shows, little is lost when a process dies, and
the tail of a sweep is short."""
MIN_PACK_SECONDS = 2.0
"""Shortest training that a group of trials is cut into so that all of a cluster has work; heuristic: what a pack costs
beside its training is then some per cent of it."""
PACKS_PER_SLOT = 4
"""Packs for each place of a cluster, if there is so much to train; heuristic: the last ones then end close together."""
DRIVER_SECONDS = 0.03
"""Of the one process that hands out all packs, for each of them; measured (docs/scale.md)."""
MAX_PACK_BYTES = 1_000_000_000
"""Most memory that the SAEs of a pack take; heuristic: a few packs fit beside each other on any machine of today."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Trials on one data stream, trained together in one Ray Tune trial; `trial_ids` names them in order."""

    pack_id: str
    sparsity: float
    seed: int
    trials: tuple[Trial, ...]
    trial_ids: tuple[str, ...]
    cost: float
    """About how many seconds it trains on one core."""


def cut_packs(
    spec: JobSpec, trials: Iterable[Trial], paces: Paces = ESTIMATED, slots: int = 1, speed: float = 1.0
) -> list[Pack]:
    """Group trials that share a data stream, cut groups at `pack_limit` and MAX_PACK_BYTES, longest packs first.

    `slots` is how many packs run at a time, and `speed` how many times as fast as `paces` says each does. How packs are
    cut never changes a trial's numbers, only when and where it is trained.
    """
    name = trial_namer(spec)
    packs = []
    timed = [(trial, paces.trial_seconds(spec, trial.condition)) for trial in sorted(trials, key=_stream)]
    drawing = paces.stream_seconds(spec, timed[0][0].condition) if timed else 0.0
    limit = speed * pack_limit(sum(seconds for _, seconds in timed) / speed, drawing / speed, slots)
    for _, members in groupby(timed, key=lambda entry: _stream(entry[0])):
        group: list[Trial] = []
        seconds, held = 0.0, 0
        for trial, extra in members:
            condition = trial.condition
            room = model_bytes(spec, condition)
            if group and (seconds + extra > limit or held + room > MAX_PACK_BYTES):
                packs.append(_pack(group, [name(t) for t in group], seconds))
                group, seconds, held = [], 0.0, 0
            if not group:
                seconds = paces.stream_seconds(spec, condition)
            group.append(trial)
            seconds += extra
            held += room
        packs.append(_pack(group, [name(t) for t in group], seconds))
    return sorted(packs, key=lambda pack: (-pack.cost, pack.pack_id))


def pack_limit(seconds: float, drawing: float, slots: int) -> float:
    """Longest training of a pack where `seconds` of it are shared out among so many slots.

    Short enough that each slot has PACKS_PER_SLOT of them; long enough that `drawing` the data, which each pack does
    anew, is a tenth of it, and that the driver can serve all other slots meanwhile.
    """
    if slots == 1:
        return MAX_PACK_SECONDS  # nobody waits for the last pack of another
    worthwhile = max(MIN_PACK_SECONDS, min(MAX_PACK_SECONDS, 10 * drawing))
    # With so little to train that slots stay empty, the driver's time for all packs and the last pack's are balanced.
    served = min(DRIVER_SECONDS * slots, math.sqrt(DRIVER_SECONDS * seconds))
    return max(worthwhile, served, min(MAX_PACK_SECONDS, seconds / (PACKS_PER_SLOT * slots)))


def model_bytes(spec: JobSpec, condition: Condition) -> int:
    """Memory of one SAE of a pack: its weights in six versions, and the loss of every step."""
    matrices = 1 if spec.sae.tied else 2
    width, n_inputs = condition.hidden_dim, spec.data.n_inputs
    # Start, weights, gradient, two moments of Adam, and the weights that come back: six of each, float32.
    return 6 * 4 * (matrices * width * n_inputs + width + n_inputs) + 8 * spec.training.steps


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


def _pack(trials: list[Trial], trial_ids: list[str], seconds: float) -> Pack:
    sparsity, seed = _stream(trials[0])
    return Pack(content_digest(trial_ids), sparsity, seed, tuple(trials), tuple(trial_ids), seconds)
