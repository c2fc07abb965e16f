"""The delivery system: ground, sealing, gates, delivery, rotation; each imports only from those before it."""
