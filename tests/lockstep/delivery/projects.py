"""A project to deploy in tests: a git repository whose environments run on the fake engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ci import cli
from ci.delivery import deploy, engines, plan
from ci.delivery.deploy import Deploy, Options
from ci.delivery.release import Release, current
from ci.ground import git
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.delivery import fake

MIGRATION = 'revision = "{}"\ndown_revision = {!r}\n'


@dataclass(frozen=True)
class Project:
    """The repository, and what a test does with it."""

    root: Path

    @property
    def repo(self) -> Repo:
        """The checkout as it is now."""
        return Repo(self.root)

    def commit(self, about: str = "a change") -> str:
        """Commit everything and return the short SHA."""
        checkouts.git(self.root, "add", "-A")
        checkouts.git(self.root, "commit", "-qm", about, "--allow-empty")
        return git.sha(self.root)

    def write(self, path: str, text: str) -> str:
        """Write a file and commit it."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)
        return self.commit(f"write {path}")

    def plain(self, name: str, before: str, after: str) -> str:
        """Change a plain value and commit it."""
        path = f"config/{name}.env"
        return self.write(path, (self.root / path).read_text().replace(before, after))

    def about(self, name: str, **changed: Any) -> str:
        """Change what environments.yaml says of an environment and commit it."""
        path = self.root / "config/environments.yaml"
        document = yaml.safe_load(path.read_bytes())
        about = document["environments"][name] | changed
        document["environments"][name] = {
            key: about[key] for key in about if key != "swarm" or about["engine"] == key
        }
        return self.write("config/environments.yaml", yaml.safe_dump(document, sort_keys=False))

    def declare(self, part: str, **changed: str | None) -> str:
        """Change what the schema says of services, jobs or keys, each as YAML; None takes it out. Commit it."""
        path = self.root / "config/schema.yaml"
        document = yaml.safe_load(path.read_bytes())
        for name, text in changed.items():
            document[part].pop(name, None)
            if text is not None:
                document[part][name] = yaml.safe_load(text)
        return self.write("config/schema.yaml", yaml.safe_dump(document, sort_keys=False))

    def migration(self, revision: str, before: str | None, oldest: str = "") -> str:
        """Add a migration and commit it."""
        text = MIGRATION.format(revision, before) + (f'oldest = "{oldest}"\n' if oldest else "")
        return self.write(f"model/migrations/versions/{revision}.py", text)

    def deploy(self, name: str = "dev", **options: Any) -> Deploy:
        """Deploy, confirmed."""
        return cli.follow(deploy.run(self.repo, name, Options(**{"yes": True, **options})))

    def promote(self, name: str, **options: Any) -> Deploy:
        """Promote, confirmed."""
        return self.deploy(name, promote=True, **options)

    def rollback(self, name: str = "dev", to: int | None = None) -> Deploy:
        """Roll back, confirmed."""
        return cli.follow(deploy.back(self.repo, name, to, why="", yes=True))

    def preview(self, name: str = "dev", **options: Any) -> plan.Plan:
        """Return the plan of a deploy."""
        return deploy.preview(self.repo, name, Options(**options))

    def history(self, name: str = "dev") -> list[Release]:
        """Return the releases."""
        with engines.open(self.repo, name) as engine:
            return engine.history()

    def current(self, name: str = "dev") -> Release:
        """Return the release that should run."""
        release = current(self.history(name))
        assert release
        return release

    def runs(self, name: str = "dev") -> set[int]:
        """Return the releases that run."""
        return {number for _, number in fake.state(self.repo, name)["running"]}

    def fail(self, step: str, name: str = "dev") -> None:
        """Have a step of the next deploys fail; none, for an empty name."""
        fake.change(self.repo, name, fails={step: f"{step} failed on purpose"} if step else {})


def make(folder: Path) -> Project:
    """Make a project after `inv init`, everything committed."""
    checkouts.initialised(folder)
    (folder / ".gitignore").write_text("/.local/\n/.tools\n")
    checkouts.git(folder, "init", "-q", "-b", "main")
    made = Project(folder)
    made.migration("0001", None)
    for name in ("dev", "staging", "prod"):
        made.about(name, engine="fake", soak_minutes=0)
    return made
