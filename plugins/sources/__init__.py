"""Listeners, one module each; the module's name is the listener's `type`."""
