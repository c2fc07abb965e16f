"""The provider that `local` starts beside the services of the project that Lockstep's tests use."""
