"""From a commit to a running release: deploy, releases, and the engines that run them."""
