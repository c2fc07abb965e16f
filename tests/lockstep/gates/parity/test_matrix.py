import yaml

from ci.gates import parity
from ci.gates.parity import matrix
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.parity import changes


def test_names_of_a_sealed_file() -> None:
    """Its own keys in their order, twice if they are there twice, and nothing of sops."""
    data = b"A=ENC[x]\nB=ENC[y]\n#ENC[z]\nA=ENC[x]\nsops_version=3\nsops_mac=ENC[m]\n"

    assert ["A", "B", "A"] == [name for name, _ in matrix.names(data)]


def test_a_key_is_missing_only_where_a_service_reads_it(repo: Repo) -> None:
    """A service that exists in dev alone needs its keys there alone, sealed ones included."""
    path = repo.root / "config/schema.yaml"
    document = yaml.safe_load(path.read_bytes())
    document["services"]["extra"] = {"command": "python -m extra", "environments": ["dev"]}
    for name, secret in (("ONLY", False), ("ONLY_SECRET", True)):
        about = {"services": ["extra"], "description": "for dev alone", "example": "EXAMPLE", "secret": secret}
        document["keys"][name] = {"type": "string", "meta": about}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    changes.file("extra/__main__.py", "import runtime\nC = runtime.load('extra')\nprint(C.only, C.only_secret)\n")(
        repo
    )
    checkouts.generated(repo.root)

    found = {(one.place, one.key) for one in parity.check(Repo(repo.root))}

    assert {("config/dev.env", "ONLY"), ("secrets/dev.enc.env", "ONLY_SECRET")} == found
