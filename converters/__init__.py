"""Pure conversion: bytes in, document out."""
