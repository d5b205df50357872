"""`python -m datto_siem.plugins.cli`: the same as `datto-siem`."""

from __future__ import annotations

import sys

from datto_siem.plugins.cli.main import main

if __name__ == "__main__":  # worker processes import this module again
    sys.exit(main())
