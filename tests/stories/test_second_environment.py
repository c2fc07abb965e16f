"""Two environments whose values are made on this machine, side by side."""

from copy import deepcopy

import pytest
import yaml

from ci.ground import dotenv, ports
from tests import checkouts


def add(clone: checkouts.Clone, name: str, like: str) -> None:
    """Add an environment that is run as another one is, at ports of its own."""
    root = clone.repo.root
    environments = root / "config/environments.yaml"
    document = yaml.safe_load(environments.read_bytes())
    document["environments"][name] = deepcopy(document["environments"][like])
    environments.write_text(yaml.safe_dump(document, sort_keys=False))
    schema = root / "config/schema.yaml"
    keys = yaml.safe_load(schema.read_bytes())
    for about in keys["keys"].values():
        template = about["meta"].get("generate")
        if isinstance(template, dict) and like in template:
            template[name] = template[like]
    for about in (*keys["services"].values(), *keys["jobs"].values()):
        if like in about.get("environments", ()):
            about["environments"].append(name)
    schema.write_text(yaml.safe_dump(keys, sort_keys=False))
    plain = dict(dotenv.parse((root / f"config/{like}.env").read_bytes())[0])
    for key in ("PUBLIC_BASE_URL", "SMS_PROVIDER_URL"):
        plain[key] = f"http://127.0.0.1:{ports.free()}"
    plain |= {"SMTP_PORT": str(ports.free()), "ENVIRONMENT": name}
    (root / f"config/{name}.env").write_text(dotenv.render(plain))


@pytest.mark.server
def test_a_second_environment_beside_local(clone: checkouts.Clone) -> None:
    """Each has its own processes, servers, identity and values; the end of one does not touch the other."""
    add(clone, "demo", "local")
    clone.inv("deploy", "--env=local")
    clone.inv("deploy", "--env=demo")
    try:
        shown = {name: clone.inv("status", f"--env={name}") for name in ("local", "demo")}
        values = {name: clone.inv("decrypt", f"--env={name}") for name in shown}

        assert [3, 3] == [text.count(" ready ") for text in shown.values()]
        assert not set(values["local"].split()) & set(values["demo"].split())
        assert "no environment given" in clone.inv("status", code=64)
        clone.inv("stop", "--env=demo", "--purge")
        assert "demo does not run" in clone.inv("status", "--env=demo", code=45)
        assert 3 == clone.inv("status", "--env=local").count(" ready ")
        assert values["local"] == clone.inv("decrypt", "--env=local")
    finally:
        for name in ("demo", "local"):
            clone.inv("stop", f"--env={name}", "--purge")
