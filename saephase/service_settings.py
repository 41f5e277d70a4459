"""A command line and an environment to the service's settings; options win over variables."""

import argparse
import os
from pathlib import Path

from saephase.service_arguments import DATA
from saephase.spec_argument import UsageError
from service.settings import Settings, environment_settings, local_settings

OPTIONS = ("host", "port", "database", "storage")


def read_settings(options: argparse.Namespace, **more: object) -> Settings:
    """The settings that options, SAEPHASE_... variables and defaults make; raises UsageError."""
    data = Path(options.data or os.environ.get("SAEPHASE_DATA") or DATA)
    given = {name: getattr(options, name, None) for name in OPTIONS}
    try:
        chosen = environment_settings(os.environ)
        chosen |= {name: value for name, value in given.items() if value is not None}
        storage = chosen.get("storage")
        if isinstance(storage, str) and "://" not in storage:
            chosen["storage"] = str(Path(storage).absolute())
        return local_settings(data, **(more | chosen))
    except ValueError as error:
        raise UsageError(str(error)) from None
