"""The product's own tests, with its own packages."""

from orders import views


def test_two_keys_have_two_fingerprints() -> None:
    """Keys are told apart by them."""
    assert views.fingerprint("a") != views.fingerprint("b")
