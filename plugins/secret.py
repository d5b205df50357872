"""Secrets: named in the configuration, read from the environment or a file, shown nowhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


class SecretMissing(Exception):
    """The environment variable or file of a secret is not there, or is empty."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is; `value` reads it anew, so that a rotated file is taken up.

    In TOML: `{ env = "HEC_TOKEN" }` or `{ file = "/run/secrets/hec" }`; never the value itself.
    """

    env: str | None = None
    file: str | None = None

    def value(self) -> str:
        """The secret, without white space at its ends.

        Raises:
            SecretMissing: Says what to set; never holds the value.
        """
        if self.env is not None:
            found = os.environ.get(self.env, "").strip()
            if not found:
                raise SecretMissing(f"environment variable {self.env} is not set: set it")
            return found
        try:
            found = Path(self.file or "").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SecretMissing(f"cannot read the secret file {self.file}: {why}") from error
        if not found:
            raise SecretMissing(f"the secret file {self.file} is empty")
        return found
