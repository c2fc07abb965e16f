"""Places that name environments or set keys: workflows, Dockerfiles, compose files, what is generated."""

import shutil

from tests.lockstep.gates.parity.changes import Change, both, file, new_environment, remove, swap, workflow
from tests.lockstep.ground.test_documents import BOMBS

DEPLOYS = """
jobs:
  deliver:
    environment: ${{ matrix.environment }}
    strategy: {matrix: {environment: [dev, staging, prod]}}
    steps:
      - run: ./run inv deploy --env=dev --yes
      - run: ./run inv promote --to staging --yes
      - run: ./run inv promote --to=prod --yes
"""
BAD: list[tuple[str, Change]] = [
    # an environment that is not everywhere
    ("environment", remove("config/prod.env")),
    ("environment", remove("config/local.env")),
    ("environment", remove("secrets/staging.enc.env")),
    ("environment", file("config/qa.env", "ENVIRONMENT=qa\n")),
    ("environment", lambda repo: shutil.copy(repo.sealed("dev"), repo.sealed("qa"))),
    ("environment", lambda repo: shutil.copy(repo.sealed("dev"), repo.root / "secrets/local.enc.env")),
    ("environment", swap("config/environments.yaml", r"^  prod:\n(    .*\n)+", "")),
    ("environment", swap("config/environments.yaml", r"\Z", "  qa:\n    engine: swarm\n")),
    ("environment", swap("config/environments.yaml", r"^    in_git: false", "    in_git: true")),
    ("environment", swap("config/environments.yaml", r"^  dev:\n", "  dev:\n    in_git: false\n")),
    ("environment", swap(".sops.yaml", r"secrets/dev", "secrets/qa")),
    ("environment", swap(".sops.yaml", r"  - path_regex: \^secrets/dev.*\n    age:\n.*\n", "")),
    ("environment", remove(".sops.yaml")),
    ("environment", workflow(DEPLOYS.replace("--to=prod", "--to=prd"))),
    ("environment", workflow(DEPLOYS.replace("[dev, staging, prod]", "[dev, staging, production]"))),
    ("environment", workflow("jobs: {a: {environment: prodution}}")),
    ("environment", workflow("jobs: {a: {environment: {name: live, url: 'https://x'}}}")),
    ("environment", workflow("jobs: {a: {steps: [{run: './run inv deploy --env dev'}]}}")),
    ("environment", both(workflow(DEPLOYS), new_environment)),
    (
        "environment",
        workflow(f"on: {{workflow_dispatch: {{inputs: {{environment: {{options: [dev, qa]}}}}}}}}\n{DEPLOYS}"),
    ),
    # a key that something else sets
    *(
        ("set-elsewhere", file("Dockerfile", f"FROM scratch\n{text}\n"))
        for text in (
            "ENV LOG_LEVEL=debug",
            "ENV LOG_LEVEL debug",
            "ENV A=1 \\\n    LOG_LEVEL=debug",
            'ENV A="1" LOG_LEVEL=debug',
            "ARG LOG_LEVEL=debug",
            "ENV DATABASE_URL=$DATABASE_URL",
            'CMD ["env", "LOG_LEVEL=debug", "python"]',
            'ENV A="#1" LOG_LEVEL=debug',
            'ENV A="a # b" LOG_LEVEL=debug',
            "CMD LOG_LEVEL=debug python -m app",
        )
    ),
    ("set-elsewhere", file("docker/api.Dockerfile", "FROM scratch\nENV LOG_LEVEL=debug\n")),
    ("set-elsewhere", file("Dockerfile.dev", "FROM scratch\nENV LOG_LEVEL=debug\n")),
    ("set-elsewhere", file("Containerfile", "FROM scratch\nENV LOG_LEVEL=debug\n")),
    *(
        ("set-elsewhere", workflow(text))
        for text in (
            "env:\n  LOG_LEVEL: debug\n",
            "env: {LOG_LEVEL: debug}\n",
            "jobs: {a: {env: {SMTP_PASSWORD: '${{ secrets.SMTP_PASSWORD }}'}}}\n",
            "jobs: {a: {steps: [{run: LOG_LEVEL=debug ./run inv deploy}]}}\n",
            'jobs:\n  a:\n    steps:\n      - run: echo "LOG_LEVEL=debug" >> $GITHUB_ENV\n',
            "jobs:\n  a:\n    steps:\n      - run: export LOG_LEVEL=debug\n",
        )
    ),
    *(
        ("set-elsewhere", file(place, text))
        for place, text in (
            ("compose.yaml", "services: {api: {environment: {LOG_LEVEL: debug}}}\n"),
            ("docker-compose.yml", "services:\n  api:\n    environment:\n      LOG_LEVEL: debug\n"),
            ("docker-compose.prod.yml", "services:\n  api:\n    environment:\n      - LOG_LEVEL=debug\n"),
            ("deploy/compose.yml", "services:\n  api:\n    environment:\n      - LOG_LEVEL\n"),
            ("compose.yml", "x-env: &env\n  'LOG_LEVEL': debug\n"),
            ("stack.yml", 'services: {api: {environment: ["LOG_LEVEL=debug"]}}\n'),
        )
    ),
    ("set-elsewhere", file(".github/actions/deploy/action.yml", "runs: {env: {LOG_LEVEL: debug}}\n")),
    # what is generated
    ("stale", remove("docs/keys.md")),
    ("stale", swap("docs/keys.md", r"the mail server's port", "a port")),
    ("stale", swap("runtime/keys.py", r"    smtp_port: int\n", "")),
    ("stale", swap("config/schema.yaml", r"the mail server's port", "a port")),
]

GOOD: list[Change] = [
    # an environment of this machine has no sealed file, whatever its name
    both(
        swap("config/environments.yaml", r"^  local:", "  laptop:"),
        lambda repo: shutil.move(repo.root / "config/local.env", repo.root / "config/laptop.env"),
    ),
    # an environment that is everywhere; workflows that deploy all, or none
    both(workflow(DEPLOYS.replace("prod]", "prod, qa]")), new_environment),
    workflow(DEPLOYS),
    # aliases, each looked at once, however many ways lead there
    *[workflow(DEPLOYS + BOMBS[name]) for name in ("billion laughs", "merged laughs", "itself")],
    workflow(f"{DEPLOYS}more: &more {{environment: {{name: *more}}}}\n"),
    workflow(
        f"{DEPLOYS.replace('[dev, staging, prod]', '[dev]')}      - run: inv drift --env=${{{{ inputs.name }}}}\n"
    ),
    workflow("jobs: {pages: {environment: github-pages}}\n"),
    workflow("jobs: {a: {steps: [{run: 'docker run --env dev image'}]}}\n"),
    workflow("jobs: {a: {environment: '${{ inputs.environment }}'}}\n"),
    file(".github/dependabot.yml", "updates: [{package-ecosystem: pip}]\n"),
    swap(".sops.yaml", r"\A", "# path_regex: ^secrets/old\\.enc\\.env$\n"),
    # files that set nothing of ours
    file("Dockerfile", "FROM scratch\n# ENV LOG_LEVEL=debug\nENV PYTHONUNBUFFERED=1\nARG BASE\n"),
    file("Dockerfile", "FROM scratch\nENV MY_LOG_LEVEL=debug LOG_LEVELS=1\n"),
    file("compose.yml", "services: {db: {environment: {POSTGRES_DB: lockstep}}}\n"),
    file("docs/compose.md", "LOG_LEVEL: debug\n"),
    workflow("env:\n  SESSION: tests # not LOG_LEVEL: debug\n"),
    file("app/settings.toml", "LOG_LEVEL = 'debug'\n"),
]
