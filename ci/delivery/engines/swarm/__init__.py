"""Docker Swarm. The engine is in `engine`, which imports the Docker SDK; its settings cost nothing."""
