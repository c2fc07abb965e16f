"""Rotation: replacing one secret's value at its provider, in the file and in every replica."""
