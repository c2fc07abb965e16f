"""What everything else stands on: commands, the voice, errors, git, dotenv, tools, and where things are."""
