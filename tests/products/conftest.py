"""The products are files that a story puts into a repository of its own, where their tests run."""

collect_ignore_glob = ["*"]
