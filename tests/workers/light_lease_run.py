"""`workers.lease_run` whose driver needs no Ray, and whose report is its manifest."""

import subprocess
import types
from typing import Any

import phase_diagrams.report
from phase_diagrams.report import write_manifest


def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [part.replace("workers.ray_driver", "tests.workers.fake_driver") for part in command], **options
    )


def write_light_report(
    folder: Any, spec: Any, dictionary: Any, trials: Any, *, device: str, wall_seconds: float, train_seconds: float
) -> None:
    write_manifest(folder, device=device, wall_seconds=wall_seconds, train_seconds=train_seconds)


if __name__ == "__main__":
    phase_diagrams.report.write_report = write_light_report
    import workers.lease_run
    import workers.ray_process

    workers.ray_process.subprocess = types.SimpleNamespace(
        Popen=start, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired
    )
    workers.lease_run.main()
