"""Secrets as ciphertext: sops and age, one environment opened in memory, edits, recipients."""
