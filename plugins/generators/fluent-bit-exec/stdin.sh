#!/bin/sh
# @STAMP@
# Lines of a file into Fluent Bit as documents with the events' own times. The `stdout` output is
# to be replaced by yours.
set -eu
tail -n 0 -F "${1:-/var/log/datto.log}" |
  /opt/datto-siem/bin/datto-siem filter --to @TARGET@ --protocol fluent-bit |
  exec fluent-bit -i stdin -p buffer_size=1M -o stdout -p format=json_lines -p retry_limit=no_limits
