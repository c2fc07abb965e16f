"""The gates: parity, sealing, leaks, rotation, loosened. Each is a function `check` and a module to run.

Exit codes: 0 clean or warnings alone, 1 findings, 2 could not run. A gate that looked at nothing could not run.
"""
