"""The worker: takes what is due and sends it, as SMS or e-mail."""
