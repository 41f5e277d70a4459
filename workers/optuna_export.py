"""A finished search to an Optuna storage, one study per condition, so that Optuna's own tools open it."""

from collections.abc import Iterable
from urllib.parse import urlsplit

import optuna
from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from phase_diagrams.finding import Finding
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Condition
from workers.exponent_sampler import frozen_trials


class ExportError(RuntimeError):
    """The storage cannot be written; `str()` says why."""


def export_studies(spec: JobSpec, findings: Iterable[Finding], url: str) -> int:
    """Write the studies of a spec's search into the storage at a URL such as sqlite:///studies.db; how many there are.

    A study's values are the search's objective as users know it (a loss is minimised), its attributes name the
    condition. Studies of the same names are replaced. Raises ExportError.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found = tuple(findings)
    try:
        storage = optuna.storages.RDBStorage(url)
        known = {study.study_name for study in optuna.get_all_study_summaries(storage)}
        for finding in found:
            name = study_name(spec, finding.condition)
            if name in known:
                optuna.delete_study(study_name=name, storage=storage)
            _export(spec, finding, name, storage)
    except (OptunaError, SQLAlchemyError, ImportError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"{_without_password(url)}: cannot be used as an Optuna storage: {reason}") from None
    return len(found)


def study_name(spec: JobSpec, condition: Condition) -> str:
    """What the study of a condition is called."""
    place = f"S = {condition.sparsity:g}, n_m = {condition.hidden_dim}, {condition.activation}"
    return f"{spec.name}: {place}, {spec.proxy}"


def _export(spec: JobSpec, finding: Finding, name: str, storage: optuna.storages.BaseStorage) -> None:
    search, condition = finding.study.search, finding.condition
    is_loss = search.objective == "gt_loss"
    study = optuna.create_study(
        study_name=name, storage=storage, direction="minimize" if is_loss else "maximize", load_if_exists=False
    )
    attributes = {
        "objective": search.objective,
        "sparsity": condition.sparsity,
        "hidden_dim": condition.hidden_dim,
        "activation": str(condition.activation),
        "proxy": spec.proxy,
        "exponent_best": finding.exponent,
        "gain_confirmed": list(finding.gain(search.objective, spec.data.n_features)),
    }
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    study.add_trials(frozen_trials(finding.study, -1.0 if is_loss else 1.0))


def _without_password(url: str) -> str:
    try:
        password = urlsplit(url).password
    except ValueError:
        return url
    return url.replace(f":{password}@", ":...@") if password else url
