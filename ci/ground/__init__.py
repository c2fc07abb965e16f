"""What all other layers use: programs, errors, git, env files, tools, schema and environments, events."""
