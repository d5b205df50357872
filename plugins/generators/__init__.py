"""Native parsing rules for each shipper and SIEM, one module each; see `plugins.generator`."""
