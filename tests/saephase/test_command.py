"""The command line: what it does, what it says when it cannot, and with which exit code."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import saephase.plan_command
import saephase.run_command
from phase_diagrams.caption import software_version
from phase_diagrams.overlay import DEFAULT, NAMES
from phase_diagrams.spec import spec_schema
from saephase.command import OVERLAY_HELP, main
from tests.saephase.processes import ROOT, environment, start_command
from workers.job import GivenUp, JobError, Outcome

SPEC = """
name: A small job
data: {n_features: 8, n_inputs: 4}
grid: {sparsity: [0.7, 0.9], hidden_dim: [8, 16], activation: ["topk:1", relu], seeds: 2}
training: {steps: 20, batch_size: 32}
"""


@pytest.fixture
def spec_file(tmp_path: Path) -> str:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return str(path)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    assert captured.err.count("\n") == 1, "one paragraph"
    return captured.err


def test_a_run_ends_with_a_diagram_and_is_not_repeated(tmp_path: Path, spec_file: str) -> None:
    out = tmp_path / "out"
    code, table, told = start_command("run", spec_file, "--out", str(out), "--set", "grid.seeds=1").end()
    assert code == 0, told
    assert "reused 0, to run 16" in told
    assert "16/16 trials" in told
    assert "topk:1, α = 0" in table
    assert str(out / "phase_diagram.png") in table
    (out / "phase_diagram.png").unlink()
    trials = (out / "trials.parquet").read_bytes()

    code, table, told = start_command("run", spec_file, "--out", str(out), "--set", "grid.seeds=1").end()
    assert code == 0, told
    assert "reused 16, to run 0" in told
    assert "starting Ray" not in told
    assert (out / "phase_diagram.png").exists()
    assert (out / "trials.parquet").read_bytes() == trials


def modules_after(*arguments: str) -> set[str]:
    """The top-level modules that a command loads."""
    program = (
        "import sys\nfrom saephase.command import main\n"
        f"try:\n    main({list(arguments)!r})\nexcept SystemExit:\n    pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    return set(ended.stderr.split("\n")[-2].split())


def test_help_loads_nothing_and_a_plan_neither_torch_nor_ray(spec_file: str) -> None:
    assert not modules_after("--help") & {"numpy", "pyarrow", "pydantic", "yaml", "rich", "ray", "torch"}
    assert not modules_after("plan", spec_file) & {"ray", "torch", "numba", "altair"}
    assert not modules_after("spec-schema") & {"ray", "torch", "numba", "altair"}


def test_a_plan_of_a_refined_job_says_its_budget_and_candidates(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "examples/refine.yaml", "--estimate"]) == 0
    said = capsys.readouterr().out
    assert "budget: 600 trainings at most" in said
    assert "can be spent" not in said
    assert f"candidates: {2 * 41 * 33:,} conditions may be sampled; those near the boundary are" in said
    assert "conditions: " not in said.splitlines()[0]


def test_a_plan_says_how_much_of_a_budget_can_be_spent(spec_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    refine = "refine={budget: 1000000, candidates: {sparsity: 3, hidden_dim: 3}}"
    assert main(["plan", spec_file, "--estimate", "--set", refine]) == 0
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["budget"] == "1,000,000 trainings at most, of which 72 can be spent"
    assert lines["memory"].endswith("450 MB for the driver")


def test_a_plan_notes_a_pack_that_this_machine_cannot_hold(
    spec_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(saephase.plan_command, "_cores", lambda: 2)
    for cpus, notes in (("64", ["note: a pack asks for 64 CPUs; this machine has 2"]), ("2", [])):
        assert main(["plan", spec_file, "--estimate", "--set", f"resources.cpus_per_trial={cpus}"]) == 0
        assert [line for line in capsys.readouterr().out.splitlines() if "a pack asks" in line] == notes


def test_a_plan_says_what_a_job_would_cost(spec_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", spec_file]) == 0
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert (lines["conditions"], lines["trainings"], lines["steps"]) == ("8", "32", "640")
    assert lines["time"].startswith("about ")
    assert main(["plan", spec_file, "--json", "--set", "grid.seeds=[0, 5, 9]"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["conditions"], plan["trials"], plan["steps"]) == (8, 48, 960)


def test_the_schema_and_the_version_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec-schema"]) == 0
    assert json.loads(capsys.readouterr().out) == spec_schema()
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"saephase {software_version()}\n"


def test_a_spec_may_come_from_standard_input_as_yaml_or_json(spec_file: str) -> None:
    document = json.dumps({"data": {"n_features": 8, "n_inputs": 4}, "grid": {}}, indent="\t")
    for text, settings in [
        (SPEC, []),
        (document, ["grid.sparsity=[0.9]", "grid.hidden_dim=[8]", "grid.activation=[relu]"]),
    ]:
        ended = subprocess.run(
            [sys.executable, "-m", "saephase", "plan", "-", *(f"--set={setting}" for setting in settings)],
            cwd=ROOT,
            env=environment(),
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "conditions: " in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "training.stepz=1"], "training.stepz: unknown key; did you mean 'steps'? allowed here: steps"),
        (["--set", "training.steps=0"], "training.steps: 0 is not allowed"),
        (["--set", "grid.sparsity.1=7"], "grid.sparsity[1]: 7 is not allowed"),
        (["--set", "grid.sparsity.2=0.5"], "grid.sparsity is a list of 2; its places are 0 to 1"),
        (["--set", "grid.sparsity.x=0.5"], "grid.sparsity is a list of 2"),
        (["--set", "name.first=Ada"], "name is 'A small job', which has no keys"),
        (["--set", "training.steps"], "must be KEY=VALUE with a dotted key, such as training.steps=100"),
        (["--set", "=3"], "must be KEY=VALUE"),
        (["--set", "training.steps=[1"], "the value is not valid YAML"),
        (["--set", "resources.device=tpu"], "resources.device: 'tpu' is not allowed"),
        (["--set", "data.superposition={kind: explicit, path: no.npy}"], "cannot read 'no.npy'"),
    ],
)
def test_what_set_cannot_set_is_one_paragraph_and_exit_code_2(
    spec_file: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", spec_file, *arguments]) == 2
    assert message in said(capsys)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory; give a YAML or JSON file, or - for standard input"),
        ("folder", "cannot be read: Is a directory"),
        (b"name: \xff\xfe", "is not UTF-8 text"),
        (b"", "the spec must be a mapping with the keys name, data, grid"),
        (b"a: [1", "not valid YAML or JSON at line"),
        (b"{}", "data: required, but missing; grid: required, but missing"),
    ],
)
def test_a_spec_that_cannot_be_read_is_one_paragraph_and_exit_code_2(
    tmp_path: Path, content: bytes | str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "spec.yaml"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    for command in ("plan", "run"):
        assert main([command, str(path)]) == 2
        assert message in said(capsys)


@pytest.mark.parametrize("address", ["", "localhost", "ray://head:10001", "head:port", "a b:1", "LOCAL"])
def test_an_address_is_local_auto_or_host_and_port(
    spec_file: str, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["run", spec_file, "--address", address])
    assert "allowed: local, auto, HOST:PORT" in capsys.readouterr().err


def test_out_must_be_a_folder(tmp_path: Path, spec_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for out in (spec_file, f"{spec_file}/below", "nonsense://bucket/folder"):
        assert main(["run", spec_file, "--out", out]) == 2
        assert f"--out {out}: cannot be used as a folder" in said(capsys)
    for folder, message in [(spec_file, "is not a folder"), (str(tmp_path), "holds no spec.json")]:
        assert main(["report", folder]) == 2
        assert message in said(capsys)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (JobError("The run broke off. Run it again.", "the whole story"), 3, "The run broke off. Run it again. (all"),
        (OSError(errno.ENOSPC, "full", "trials.parquet"), 3, f"trials.parquet: {os.strerror(errno.ENOSPC)}; what is"),
        (MemoryError(), 3, "out of memory"),
        (ZeroDivisionError("by\nzero"), 3, "unexpected ZeroDivisionError: by zero (all that is known is in"),
        (KeyboardInterrupt(), 130, "stopped; nothing finished is lost: run the same command again"),
    ],
)
def test_what_goes_wrong_in_a_run_is_one_paragraph_and_its_code(
    tmp_path: Path,
    spec_file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    def fail(*_: Any, **__: Any) -> Outcome:
        raise error

    monkeypatch.setattr(saephase.run_command, "run_job", fail)
    out = tmp_path / "out"
    assert main(["run", spec_file, "--out", str(out)]) == code
    assert message in said(capsys)
    kept = out / "error.txt"
    if "all that is known" in message or "(all" in message:
        assert "the whole story" in kept.read_text() or "in fail" in kept.read_text()
    else:
        assert not kept.exists()


def test_given_up_trials_are_named_and_the_job_has_failed(
    tmp_path: Path, spec_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = GivenUp("trial 0123456789abcdef (sparsity 0.9)", "MemoryError", "")
    monkeypatch.setattr(saephase.run_command, "run_job", lambda *_, **__: Outcome(0, None, (lost,)))
    monkeypatch.chdir(tmp_path)
    assert main(["run", spec_file]) == 3
    told = capsys.readouterr().err
    assert "trial 0123456789abcdef (sparsity 0.9) failed in every attempt; the last error: MemoryError" in told
    assert "1 of 32 trials could not be trained" in told
    assert (tmp_path / "runs" / "a-small-job").is_dir(), "the default folder is named after the spec"


def test_a_reader_that_has_seen_enough_is_no_error(spec_file: str) -> None:
    command = f"{sys.executable} -m saephase spec-schema | head -c 1"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "{", "")


def test_an_unknown_overlay_is_named_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "runs/anything", "--overlay", "n_m,contours"]) == 2
    text = said(capsys)
    assert "'contours' is not an overlay" in text
    assert all(name in text for name in NAMES)


def test_help_names_every_overlay() -> None:
    assert all(name in OVERLAY_HELP for name in NAMES)
    assert f"default ({','.join(name for name in NAMES if name in DEFAULT)})" in OVERLAY_HELP
