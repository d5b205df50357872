"""Source table x target table, compiled once and flat.

The plan is the only thing the interpreter, the compiled fast path and every generator read.
"""
