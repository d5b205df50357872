"""Datto traffic that never was: sites, devices, what they send, and sending it."""
