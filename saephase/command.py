"""`saephase` on a command line to a function of the program, and what goes wrong to one paragraph and an exit code."""

import argparse
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from saephase.service_arguments import COMMANDS, add_service_commands, add_service_options
from saephase.service_commands import explain_service_error, run_service_command
from saephase.standard_error import unhurt_stderr

DONE, USAGE, FAILED, INTERRUPTED = 0, 2, 3, 130
"""Exit codes: done; bad spec or usage; the job failed; stopped by Ctrl-C or SIGTERM. Those of the service's commands
are in `saephase.service_arguments`."""

SPEC_HELP = "job spec: a YAML or JSON file, or - for standard input"
SET_HELP = "change a key of the spec, such as training.steps=100 (VALUE is YAML); may be repeated"
OVERLAY_HELP = (
    "what to show of the theory: all, none, default (n_m,k,disagreement), or some of n_m, k, 2k, donoho_tanner, "
    "theorems, gt_loss, loss_gap, disagreement; the page can switch them too"
)
AT_HELP = (
    "fix another axis, such as hidden_dim=40 or activation=topk:2; 1.5n and topk:0.05n are multiples of n, for several "
    "sizes; may be repeated"
)
ADDRESS = re.compile(r"local|auto|(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):\d{1,5}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code, and prints errors as one paragraph on standard error."""
    with unhurt_stderr():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    options = command_parser().parse_args(arguments)
    try:
        code = _run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read standard output has seen enough; the interpreter would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        told = explain_service_error(error) if options.command in (*COMMANDS, "diff", "cut", "export") else None
        code, paragraph = told or _explain(error, getattr(options, "folder", None))
        print(f"saephase: {paragraph}", file=sys.stderr)
    return code


def command_parser() -> argparse.ArgumentParser:
    """The parser of every command and option; nothing heavy is imported for it."""
    parser = argparse.ArgumentParser(
        prog="saephase",
        description="Phase diagrams of sparse autoencoders: where the planted features are identifiable.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run a job on Ray and draw its diagram", allow_abbrev=False)
    run.add_argument("spec", metavar="SPEC", help=SPEC_HELP)
    run.add_argument("--out", metavar="DIR", help="folder or URI for the results; default runs/<name of the spec>")
    run.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=SET_HELP)
    run.add_argument(
        "--address",
        metavar="local|auto|HOST:PORT",
        type=_address,
        default="local",
        help="start a Ray cluster on this machine (default), or join one that runs",
    )

    plan = commands.add_parser("plan", help="say what a job would cost; runs nothing", allow_abbrev=False)
    plan.add_argument("spec", metavar="SPEC", help=SPEC_HELP)
    plan.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=SET_HELP)
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")
    plan.add_argument("--estimate", action="store_true", help="measure nothing on this machine, only do arithmetic")

    report = commands.add_parser("report", help="redraw a folder's tables and figures; trains nothing")
    report.add_argument("folder", metavar="DIR", help="output folder of a run, finished or not")
    report.add_argument("--overlay", metavar="NAME[,NAME]", default="default", help=OVERLAY_HELP)
    report.add_argument(
        "--optuna", metavar="URL", help="also write the studies of an exponent search there (sqlite:///studies.db)"
    )

    diff = commands.add_parser("diff", help="say what differs between two diagrams", allow_abbrev=False)
    for side in ("one", "other"):
        diff.add_argument(side, metavar="JOB_OR_DIR", help="output folder, or id of a succeeded job of the service")
    diff.add_argument("--out", metavar="DIR", help="folder for the tables and pictures; without it, none are written")
    diff.add_argument("--json", action="store_true", help="print JSON")
    add_service_options(diff)

    cut = commands.add_parser("cut", help="cut through a diagram, or several sizes, along one axis", allow_abbrev=False)
    cut.add_argument("places", metavar="JOB_OR_DIR", nargs="+", help="output folders, or ids of succeeded jobs")
    cut.add_argument("--axis", metavar="sparsity|hidden_dim|k|exponent", required=True, help="what varies")
    cut.add_argument("--at", metavar="AXIS=VALUE", action="append", default=[], help=AT_HELP)
    cut.add_argument("--between", metavar="LOW:HIGH", help="part of the axis that is taken; default all of it")
    cut.add_argument("--out", metavar="DIR", help="folder for the table and pictures; without it, none are written")
    cut.add_argument("--json", action="store_true", help="print JSON")
    add_service_options(cut)

    export = commands.add_parser("export", help="write a trial's trained SAE as files for SAELens", allow_abbrev=False)
    export.add_argument("job", metavar="JOB_OR_DIR", help="output folder of a run, or id of a job of the service")
    export.add_argument("--trial", metavar="ID", required=True, help="trial_id, as trials.parquet has it")
    export.add_argument("--format", metavar="safetensors", default="safetensors", help="layout of the files")
    export.add_argument("--out", metavar="DIR", help="folder for them; default runs/sae-<trial id>")
    add_service_options(export)

    commands.add_parser("spec-schema", help="print the job spec's JSON Schema")
    add_service_commands(commands, SPEC_HELP, SET_HELP, _address)
    return parser


class _Version(argparse.Action):
    """Prints the version; reading it costs more than parsing, so it is read when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from phase_diagrams.caption import software_version

        print(f"saephase {software_version()}")
        parser.exit()


def _address(text: str) -> str:
    port = text.rpartition(":")[2]
    if not ADDRESS.fullmatch(text) or (port.isdigit() and int(port) > 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address; allowed: local, auto, HOST:PORT")
    return text


def _run(options: argparse.Namespace) -> int:
    # Each command imports what it needs: help is instant, and a plan loads neither torch nor Ray.
    if options.command == "run":
        from saephase.run_command import run

        return run(options)
    if options.command in COMMANDS:
        return run_service_command(options)
    if options.command == "report":
        from saephase.report_command import redraw

        return redraw(options.folder, options.overlay, options.optuna)
    if options.command == "diff":
        from saephase.diff_command import diff

        return diff(options)
    if options.command == "cut":
        from saephase.cut_command import cut

        return cut(options)
    if options.command == "export":
        from saephase.export_command import export

        return export(options)
    from saephase.plan_command import print_plan, print_schema

    if options.command == "plan":
        return print_plan(options.spec, options.set, options.json, options.estimate)
    return print_schema()


def _explain(error: Exception, folder: str | None) -> tuple[int, str]:
    """An error as an exit code and a paragraph; what no one expected is kept in full in a file."""
    from phase_diagrams.problem import SpecError
    from saephase.spec_argument import UsageError
    from workers.folder_lock import FolderBusyError
    from workers.job import JobError

    if isinstance(error, SpecError):
        return USAGE, f"the spec cannot be used: {error}"
    if isinstance(error, UsageError):
        return USAGE, str(error)
    if isinstance(error, FolderBusyError):
        return FAILED, str(error)
    if isinstance(error, JobError):
        return FAILED, f"{error}{_keep(error.detail, folder)}"
    if isinstance(error, MemoryError):
        return FAILED, "out of memory; what is finished is kept, so run the same command again with more memory free"
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename else ""
        again = "what is finished is kept: mend it and run the same command again"
        return FAILED, f"{where}{os.strerror(error.errno)}; {again}"
    message = " ".join(str(error).split())[:600]
    return FAILED, f"unexpected {type(error).__name__}: {message}{_keep(traceback.format_exc(), folder)}"


def _keep(detail: str, folder: str | None) -> str:
    """Save an error's detail as error.txt in the output folder; says where."""
    if not detail or folder is None or "://" in folder or not Path(folder).is_dir():
        return ""
    try:
        path = Path(folder) / "error.txt"
        path.write_text(detail)
    except OSError:
        return ""
    return f" (all that is known is in {path})"
