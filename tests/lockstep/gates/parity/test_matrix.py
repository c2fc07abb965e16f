from ci.gates.parity import matrix


def test_names_of_a_sealed_file() -> None:
    """Its own keys in their order, twice if they are there twice, and nothing of sops."""
    data = b"A=ENC[x]\nB=ENC[y]\n#ENC[z]\nA=ENC[x]\nsops_version=3\nsops_mac=ENC[m]\n"

    assert ["A", "B", "A"] == [name for name, _ in matrix.names(data)]
