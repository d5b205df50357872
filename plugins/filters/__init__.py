"""Exec filters: line protocols of shippers, over standard input and output or sockets."""
