"""What ends a command: a message for the user with what to do about it, and the exit code."""

from __future__ import annotations

import errno

DONE, FINDINGS, MISUSE = 0, 1, 2
INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143  # 128 + the signal, as a shell tells it

_REMEDIES = {
    errno.ENOSPC: "free space there and run it again",
    errno.EDQUOT: "your quota is used up; free space and run it again",
    errno.EFBIG: "the file would be larger than allowed here (see `ulimit -f`)",
    errno.ENOENT: "check the path",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
    errno.EROFS: "choose a place that can be written",
    errno.EISDIR: "name a file, not a directory",
}


class Failure(Exception):
    """Ends the command.

    Attributes:
        problem: What is wrong.
        remedy: What to do.
        code: The exit code.
    """

    def __init__(self, problem: str, remedy: str, code: int = MISUSE) -> None:
        """Both parts are sentences without a full stop."""
        super().__init__(f"{problem}: {remedy}")
        self.problem = problem
        self.remedy = remedy
        self.code = code


class OutputClosed(Exception):
    """Whoever reads our output went away (`| head`)."""


def os_failure(doing: str, error: OSError) -> Failure:
    """A failure from what the system says, with the remedy that fits."""
    remedy = _REMEDIES.get(error.errno or 0, "mend that and run it again")
    return Failure(f"{doing}: {error.strerror or error}", remedy)
