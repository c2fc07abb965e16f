""".sops.yaml: one anchored rule per environment, with that environment's recipients and nobody else's."""

import re
from collections.abc import Mapping, Sequence

HEADER = """\
# Who can open what: one rule per environment. Made by `inv init`.
creation_rules:
"""


def rules(recipients: Mapping[str, Sequence[str]]) -> str:
    """Return .sops.yaml for these recipients by environment."""
    return HEADER + "".join(
        f"  - path_regex: ^{re.escape(f'secrets/{environment}.enc.env')}$\n"
        "    age:\n" + "".join(f"      - {one}\n" for one in who)
        for environment, who in recipients.items()
    )
