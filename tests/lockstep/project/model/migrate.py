"""The migration, which has nothing to do: this project keeps nothing in its database."""

import runtime

runtime.load("migrate")
