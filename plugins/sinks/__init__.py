"""Destinations, one module each; the module's name is the output's `type`."""
