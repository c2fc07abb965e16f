"""The api: takes notifications over HTTP and tells what became of them."""
