"""deploy/slurm/saephase.sbatch with stand-ins for Slurm's commands: its logic, not Slurm, is what runs here."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phase_diagrams.folder import find_finished, open_folder
from phase_diagrams.spec import parse_spec
from saephase.command import command_parser
from tests.compose import PROGRAMS, ROOT

SCRIPT = ROOT / "deploy" / "slurm" / "saephase.sbatch"
SPEC = {
    "data": {"n_features": 8, "n_inputs": 4},
    "grid": {"sparsity": [0.5, 0.9], "hidden_dim": [8, 16], "activation": ["topk:1"], "seeds": 2},
    "training": {"steps": 50, "batch_size": 64},
}

SCONTROL = """[ "$1 $2" = "show hostnames" ] && printf 'localhost\\n%s' "$FAKE_OTHERS"\n"""
# Leaves out Slurm's own options and runs the rest here, as a node would.
SRUN = """echo "$*" >> "$FAKE_LOG"; while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"\n"""
# Programs that say how they were called; `ray start` and `saephase` last until they are told to end.
RECORD = """echo "$(basename "$0") $*" >> "$FAKE_LOG"
"""
LASTING = (
    RECORD
    + """trap 'echo "$(basename "$0") ended" >> "$FAKE_LOG"; exit 130' TERM
[ "$1" = health-check ] && exit 0
[ -n "$FAKE_QUICK" ] && [ "$(basename "$0")" = saephase ] && exit "$FAKE_QUICK"
while :; do sleep 0.05; done
"""
)


def write_programs(place: Path, programs: dict[str, str]) -> None:
    place.mkdir(exist_ok=True)
    for name, text in programs.items():
        (place / name).write_text(f"#!/usr/bin/env bash\n{text}")
        (place / name).chmod(0o755)


def environment(tmp_path: Path, others: tuple[str, ...] = (), **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "SAEPHASE_BIN": str(tmp_path / "bin"),
        "SLURM_JOB_ID": "4217",
        "SLURM_JOB_NODELIST": "whatever[1-2]",
        "SLURM_CPUS_PER_TASK": "1",
        "FAKE_OTHERS": "".join(f"{name}\n" for name in others),
        "FAKE_LOG": str(tmp_path / "log"),
        "FAKE_QUICK": "",
        **more,
    }


def start(tmp_path: Path, arguments: list[str], **more: str) -> subprocess.Popen[str]:
    programs = {"scontrol": SCONTROL, "srun": SRUN, "ray": LASTING, "saephase": LASTING}
    write_programs(
        tmp_path / "bin", programs | {"python": f'if [ "$1" = - ]; then {RECORD} else exec {sys.executable} "$@"; fi\n'}
    )
    return subprocess.Popen(
        ["bash", str(SCRIPT), *arguments],
        env=environment(tmp_path, ("other1", "other2"), **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def log(tmp_path: Path) -> list[str]:
    place = tmp_path / "log"
    return place.read_text().splitlines() if place.exists() else []


def test_the_script_is_sound() -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert shellcheck
    assert subprocess.run(["bash", "-n", str(SCRIPT)]).returncode == 0
    checked = subprocess.run([shellcheck, str(SCRIPT)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_it_starts_a_head_and_the_other_nodes_and_runs_the_command_on_them(tmp_path: Path) -> None:
    process = start(tmp_path, ["run", "job.yaml", "--out", "/shared/x"], FAKE_QUICK="3")
    assert process.wait(30) == 3, process.stderr.read() if process.stderr else ""
    lines = log(tmp_path)
    heads = [line for line in lines if line.startswith("ray start --head")]
    nodes = [line for line in lines if re.match("ray start --address", line)]
    assert len(heads) == len(nodes) == 1  # one srun starts it on all others
    port = 20000 + 4217
    assert f"--port={port}" in heads[0]
    assert f"--address=127.0.0.1:{port}" in nodes[0]
    [others] = [line for line in lines if "--exclude=localhost" in line]
    assert "--nodes=2 --ntasks=2" in others
    assert f"saephase run job.yaml --out /shared/x --address 127.0.0.1:{port}" in lines
    assert lines.count("ray ended") == 2, "nothing is left behind"


def test_what_it_calls_is_what_the_programs_understand(tmp_path: Path) -> None:
    from ray.scripts.scripts import start as ray_start

    start(tmp_path, ["worker", "--url", "http://127.0.0.1:1"], FAKE_QUICK="0").wait(30)
    known = {option for parameter in ray_start.params for option in parameter.opts}
    for line in log(tmp_path):
        program, *words = line.split()
        if program == "ray" and words[0] == "start":
            assert {word.partition("=")[0] for word in words[1:]} <= known
        if program == "saephase":
            assert command_parser().parse_args(words).command == "worker"
    for line in re.findall(r"sbatch \S+saephase\.sbatch (.+?)(?:  .*)?$", SCRIPT.read_text(), re.MULTILINE):
        assert command_parser().parse_args(line.split())


def test_the_time_limits_signal_reaches_saephase_and_its_exit_code_comes_back(tmp_path: Path) -> None:
    process = start(tmp_path, ["run", "job.yaml"])
    ends = time.monotonic() + 30
    while not any(line.startswith("saephase run") for line in log(tmp_path)):
        assert time.monotonic() < ends
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)  # --signal=B:TERM goes to the script alone
    assert process.wait(30) == 130
    assert "saephase ended" in log(tmp_path)
    assert log(tmp_path).count("ray ended") == 2


@pytest.mark.long
def test_a_job_runs_on_two_nodes_that_the_script_starts(tmp_path: Path) -> None:
    real = {name: f'exec {sys.executable} {module} "$@"\n' for name, module in PROGRAMS.items()}
    write_programs(tmp_path / "bin", {"scontrol": SCONTROL, "srun": SRUN} | real)
    (tmp_path / "job.json").write_text(json.dumps(SPEC))
    command = ["bash", str(SCRIPT), "run", str(tmp_path / "job.json"), "--out", str(tmp_path / "out")]
    job = f"9{os.getpid() % 1000:03}"
    told = environment(tmp_path, ("elsewhere",), SLURM_JOB_ID=job, PYTHONPATH=str(ROOT))
    try:
        done = subprocess.run(command, env=told, capture_output=True, text=True, timeout=150)
    finally:
        shutil.rmtree(f"/tmp/ray-{job}", ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 packs at a time" in done.stderr
    assert len(find_finished(open_folder(str(tmp_path / "out"))).trial_ids) == parse_spec(SPEC).n_trials
