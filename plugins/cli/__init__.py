"""Commands of `datto-siem`, one module each."""
