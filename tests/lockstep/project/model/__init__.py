"""What the services of the project that Lockstep's tests use have in common."""
