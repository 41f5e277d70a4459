"""A free actor to the trial that it should take: one that no other actor is being started for."""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


class FreedActors(FIFOScheduler):
    """Trials in the order in which they came, but those last whose actor has its place and is starting.

    Tune gives an actor that has finished its trial to the trial chosen here, and if another actor is on its way for
    that one, ends it (TuneController._maybe_reuse_cached_actor). Ray's own choice is the trial that has waited longest,
    so the actor that is nearest to being up: where trials are shorter than an actor's start, none ever comes up.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Ray's
        self._waiting: dict[str, Any] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Remember it in its order."""
        self._waiting[trial.trial_id] = trial

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The first of the waiting trials without an actor that is starting; None if there is none."""
        # Whether an actor has its place is in no public interface.
        controller = tune_controller._tune_controller
        for trial_id, trial in list(self._waiting.items()):
            if trial.status != Trial.PENDING:
                del self._waiting[trial_id]
                continue
            actor = controller._trial_to_actor.get(trial)
            if actor is None or not controller._actor_manager.is_actor_started(actor):
                return trial
        return None
