"""The api of the project that Lockstep's tests use: it says that it is healthy, and which release it is."""
