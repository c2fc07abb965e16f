"""Which files are the product's code, and keys that other languages and libraries read."""

from tests.lockstep.gates.parity.cases.settings import UNREAD
from tests.lockstep.gates.parity.changes import SPARE, Change, both, code, everywhere, file, line, schema

READS = "import os\nHOST = os.environ['SMTP_HOST']\n"
ASIDE = [
    "tests/test_more.py",
    "tests/factories.py",
    "app/tests/helpers.py",
    "app/test/helpers.py",
    "app/tests.py",
    "app/test_more.py",
    "app/more_test.py",
    "app/conftest.py",
    "docs/conf.py",
    "bench/more.py",
    "scripts/load.py",
    "tools/load.py",
    "setup.py",
    ".hidden/more.py",
    "app/.hidden/more.py",
    "ci/more.py",
    "tasks.py",
    "noxfile.py",
    "venv/lib/more.py",
    "node_modules/a/more.py",
]
PRODUCT = [
    "manage.py",
    "shop/more.py",
    "src/shop/more.py",
    "app/migrations/0001_more.py",
    "model/migrations/env.py",
    "app/scripts/load.py",
    "app/docs/more.py",
    "app/testing.py",
    "app/latest/more.py",
    "config/settings.py",
    "gunicorn.conf.py",
]
# What is set aside, and nevertheless run by a service.
RUN = [
    ("tests/factories.py", "from tests.factories import HOST\n"),
    ("tests/factories.py", "import tests.factories\n"),
    ("tests/factories.py", "from tests import factories\n"),
    ("tests/factories.py", "def f():\n    from tests.factories import HOST\n"),
    ("tests/__init__.py", "from tests.factories import HOST\n"),
    ("worker/tests/factories.py", "from .tests import factories\n"),
    ("worker/tests/factories.py", "from .tests.factories import HOST\n"),
    ("worker/tests/factories.py", "from worker.tests.factories import HOST\n"),
    ("worker/tests/factories.py", "from tests.factories import HOST\n"),  # a folder on Python's path
    ("tools/load.py", "MIDDLEWARE = ['tools.load.Middleware']\n"),
    ("tools/load.py", "import importlib\nimportlib.import_module('tools.load')\n"),
    ("scripts/load.py", "import subprocess, sys\nsubprocess.run([sys.executable, 'scripts/load.py'])\n"),
]


def spare(name: str) -> Change:
    """Return what adds a key to the schema and to every environment."""
    return both(everywhere(lambda env: line(f"{name}=one", env)), schema(lambda keys: keys.update({name: SPARE})))


BAD: list[tuple[str, Change]] = [
    *(("environ-read", file(place, READS)) for place in PRODUCT),
    *(("environ-read", both(file(place, READS), code(text))) for place, text in RUN),
    (
        "environ-read",
        both(file("tools/a.py", READS), file("tests/b.py", "import tools.a\n"), code("import tests.b\n")),
    ),
    ("environ-read", file("bin/serve", f"#!/usr/bin/env python3\n{READS}")),
    (
        "environ-read",
        both(file("scripts/a.py", READS), file("bin/serve", "#!/bin/sh\nexec python scripts/a.py\n")),
    ),
    ("unread", both(UNREAD, file("web/server.js", "const host = process.env.SMTP_HOSTS\n"))),
    ("unread", both(UNREAD, file("README.md", "SMTP_HOST is the mail server, `$SMTP_HOST`\n"))),
    ("unread", both(UNREAD, file("web/app.yaml", "keys: [SMTP_HOST]\n"))),
    ("unread", both(UNREAD, file("tests/mail.sh", 'echo "$SMTP_HOST"\n'))),
    ("unread", spare("ASW_REGION")),
]
GOOD: list[Change] = [
    *(file(place, READS) for place in ASIDE[:-2]),
    both(file("venv/pyvenv.cfg", ""), file("venv/lib/more.py", READS)),
    file("node_modules/a/more.py", READS),
    both(file("tools/load.py", READS), code("import load\nfrom app import tools\nNAME = 'load'\n")),
    both(file("tests/factories.py", READS), file("tests/test_a.py", "import tests.factories\n")),
    file("manage.py", "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"),
    file("gunicorn.conf.py", "import os\nbind = '0.0.0.0:' + os.environ['PORT']\n"),
    both(UNREAD, file("web/server.js", "const host = process.env.SMTP_HOST\n")),
    both(UNREAD, file("web/server.ts", "const { SMTP_HOST } = process.env\n")),
    both(UNREAD, file("bin/serve", '#!/bin/sh\nexec serve "$SMTP_HOST"\n')),
    both(UNREAD, file("web/app.yaml", "host: ${SMTP_HOST}\n")),
    both(UNREAD, file("supervisord.conf", "command=serve %(ENV_SMTP_HOST)s\n")),
    spare("AWS_REGION"),
    spare("WEB_CONCURRENCY"),
]
