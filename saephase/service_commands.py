"""A parsed command of the service to the function that runs it, and its errors to exit codes and paragraphs."""

import argparse

from saephase.service_arguments import BAD_SPEC, REFUSED


def run_service_command(options: argparse.Namespace) -> int:
    """Run the command; only what it needs is imported."""
    if options.command == "serve":
        from saephase.serve_command import serve_jobs

        return serve_jobs(options)
    if options.command == "worker":
        from saephase.worker_command import work

        return work(options)
    if options.command == "token":
        from saephase.token_command import run_token_command

        return run_token_command(options)
    from saephase.job_commands import run_job_command

    return run_job_command(options)


def explain_service_error(error: Exception) -> tuple[int, str] | None:
    """An error of the service, or of the way to it, as an exit code and a paragraph; None for any other."""
    from service.refusal import ServiceError, UnreachableError
    from service.retrieval import ChecksumError

    if isinstance(error, ServiceError):
        # A spec that passed here and not there broke one of the service's limits or is of another version.
        return (BAD_SPEC if error.status == 422 and error.errors else REFUSED), f"the service refused: {error}"
    if isinstance(error, (UnreachableError, ChecksumError)):
        return REFUSED, str(error)
    return None
