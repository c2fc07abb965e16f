"""The vault of an environment that is not in git: its identity and rule, in a folder of this machine."""

from ci.ground import files
from ci.ground.repo import Repo
from ci.sealing import identity, recipients
from ci.sealing.recipients import Recipient


def ready(repo: Repo, name: str) -> None:
    """Make what sealing needs there, unless it exists; an environment that is in git has it from `inv init`."""
    rules = repo.vault(name) / ".sops.yaml"
    if not repo.environments.outside_git(name) or rules.exists():
        return
    file = identity.path(repo, name)
    own = identity.recipient(repo, identity.at_hand(repo, name)) if file.exists() else identity.make(repo, file)
    files.replace(rules, recipients.rules({name: [Recipient(own)]}))
