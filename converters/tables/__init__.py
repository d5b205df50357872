"""The mapping tables as Python values: YAML with places, overlays, typed rows, all faults."""
