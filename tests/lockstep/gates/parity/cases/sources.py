"""What the services' code reads."""

from tests.lockstep.gates.parity.changes import (
    SPARE,
    Change,
    both,
    code,
    everywhere,
    file,
    line,
    meta,
    schema,
    swap,
)

BAD: list[tuple[str, Change]] = [
    # the environment read past the loader
    *(
        ("environ-read", code(text))
        for text in (
            "import os\nHOST = os.environ['SMTP_HOST']\n",
            "import os\nHOST = os.getenv('SMTP_HOST', 'x')\n",
            "import os as o\nHOST = o.environ.get('X')\n",
            "from os import environ\n",
            "from os import getenv as g\nHOST = g('X')\n",
            "from os import *\n",
            "def f():\n    import os\n    return os.environ\n",
            "import os\nHOST = os.environb[b'X']\n",
            "import os\nHOST = getattr(os, 'environ')['X']\n",
            "HOST = __import__('os').environ['X']\n",
            "import importlib\nimportlib.import_module('dotenv').load_dotenv()\n",
            "from dotenv import load_dotenv\n",
            "import dotenv\n",
            "import environs\n",
            "from pydantic_settings import BaseSettings\n",
            "from starlette.config import Config as C\n",
            "from posix import environ\n",
            "TEXT = open('.env').read()\n",
            "TEXT = open('config/prod.env').read()\n",
            "TEXT = open('/proc/self/environ').read()\n",
        )
    ),
    ("environ-read", code("import os\nHOST = os.environ['X']\n", "app/more.py")),
    ("environ-read", code("import os\nHOST = os.environ['X']\n", "model/more.py")),
    ("environ-read", code("import os\nHOST = os.environ['X']\n", "app/deep/er/more.py")),
    # keys and those who read them
    ("unread", swap("worker/mail.py", r"config\.smtp_host", "'mail'")),
    (
        "unread",
        both(everywhere(lambda name: line("SPARE=one", name)), schema(lambda keys: keys.update(SPARE=SPARE))),
    ),
    ("unlisted", code("def f(config):\n    return config.smtp_host\n", "app/more.py")),
    ("unlisted", code("import runtime\nHOST = runtime.load('api').smtp_host\n", "app/more.py")),
    ("unlisted", code("from runtime import load\nmine = load('api')\nHOST = mine.smtp_host\n", "app/more.py")),
    ("unlisted", code("from runtime import Config\ndef f(c: Config): return c.smtp_host\n", "app/more.py")),
    ("unlisted", code("class A:\n    def f(self): return self._config.smtp_password\n", "app/more.py")),
    ("unlisted", code("def f(settings):\n    return getattr(settings, 'api_tokens')\n")),
    ("unlisted", meta("SMTP_HOST", services=["api"])),
]

GOOD: list[Change] = [
    # code that reads no environment
    code("import os\nPATH = os.path.join('a', 'b')\nPID = os.getpid()\n"),
    code('"""Reads no os.environ and no .env file."""\n'),
    code("environ = {}\nHOST = environ.get('X')\n"),
    code("def f(request):\n    return request.environ\n"),
    code("from runtime import load\nHOST = load('worker').smtp_host\n"),
    code("def f(config):\n    return config.database_url\n", "app/more.py"),
    code("class Row:\n    environment = 'x'\ndef f(row):\n    return row.smtp_host\n", "app/more.py"),
    code("def f(config):\n    return config.smtp_host\n", "model/more.py"),
    file("tools/script.py", "import os\nprint(os.environ)\n"),
]
