"""Processes of this machine. The engine is in `engine`, which imports what servers need."""
