"""The gates: parity, sealing, leaks, rotation. Each is a function `check`, a module to run, and a Nox session.

Exit codes: 0 clean or warnings alone, 1 findings, 2 could not run. A gate that looked at nothing could not run.
"""
