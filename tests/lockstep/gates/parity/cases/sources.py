"""What the services' code reads."""

from tests import checkouts
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

# Each reads the environment in a way of its own.
PAST = [
    # by another name, or by what another module has
    "import os\nO = os\nHOST = O.environ['X']\n",
    "import os\n(O := os)\nHOST = O.environ['X']\n",
    "import os\nHOST = (e := os.environ)['X']\n",
    "import os\nclass A:\n    env = os.environ\nHOST = A.env['X']\n",
    "import os\nget = os.environ.get\nHOST = get('X')\n",
    "import os\nread = os.getenv\n",
    "import os\ndef f(env=os.environ): pass\n",
    "import shutil\nHOST = shutil.os.environ['X']\n",
    "from shutil import os\nHOST = os.environ['X']\n",
    "from runtime.loader import os as o\nHOST = o.environ['X']\n",
    "from os import environ as e\nHOST = e['X']\n",
    "from os import environb as e\nHOST = e[b'X']\n",
    "from posix import environ as e\n",
    "from app.other import *\nHOST = os.environ['X']\n",
    "import os as system\nHOST = system.getenv('X')\n",
    # by its name as a text
    "import os\nHOST = vars(os)['environ']['X']\n",
    "import os\nHOST = vars(os).get('environ')['X']\n",
    "import os\nHOST = os.__dict__['environ']['X']\n",
    "import os\nHOST = getattr(os, 'env' + 'iron')['X']\n",
    "import os\nNAME = 'environ'\nHOST = getattr(os, NAME)['X']\n",
    "import os\nprint(getattr(os, 'environ'))\n",
    "import os\nHOST = getattr(os, input())['X']\n",
    "import os\nHOST = os.__getattribute__('environ')['X']\n",
    "import os\nfrom operator import attrgetter\nHOST = attrgetter('environ')(os)['X']\n",
    "import sys\nHOST = sys.modules['os'].environ['X']\n",
    "import sys\nHOST = sys.modules.get('os').getenv('X')\n",
    "import sys as s\nm = s.modules\nHOST = m['os'].environ['X']\n",
    "import os\nHOST = globals()['os'].environ['X']\n",
    "import importlib\nHOST = importlib.import_module('os').environ['X']\n",
    "from importlib import import_module as i\nHOST = i(input()).environb[b'X']\n",
    "import builtins\nHOST = builtins.__import__('os').environ['X']\n",
    "import pkgutil\nHOST = pkgutil.resolve_name('os:environ')['X']\n",
    "HOST = eval(\"__import__('os').environ['X']\")\n",
    "exec(\"import os; HOST = os.getenv('X')\")\n",
    # whole
    "import os\nmatch os.environ:\n    case {'X': host}:\n        print(host)\n",
    "import os\nprint(*os.environ)\n",
    "import os\nA = os.environ | {}\n",
    "import os\nfrom string import Template\nA = Template('$X').substitute(os.environ)\n",
    "import os, subprocess\nsubprocess.run(['x'], env={**os.environ, 'A': 'b'})\n",
    "import os\nprint(os)\n",
    # a text with variables in it
    "import os.path\nHOST = os.path.expandvars('$X')\n",
    "from os.path import expandvars as e\nHOST = e('${X}')\n",
    "import posixpath\nHOST = posixpath.expandvars('$X')\n",
    # by C, a child or the kernel
    "import ctypes\nHOST = ctypes.CDLL(None).getenv(b'X')\n",
    "import ctypes\nHOST = ctypes.CDLL(None)['getenv'](b'X')\n",
    "import ctypes\nHOST = ctypes.c_void_p.in_dll(ctypes.CDLL(None), 'environ')\n",
    "from cffi import FFI\nf = FFI()\nHOST = f.dlopen(None).secure_getenv(b'X')\n",
    "import subprocess\nA = subprocess.run(['/usr/bin/env'], capture_output=True).stdout\n",
    "import subprocess as s\nA = s.check_output('printenv X', shell=True)\n",
    "from subprocess import getoutput\nA = getoutput('echo $X')\n",
    "import os\nA = os.popen('env').read()\n",
    "import subprocess\nA = subprocess.run(['sh', '-c', 'echo ${X}'])\n",
    "import subprocess, sys\nA = subprocess.run([sys.executable, '-c', 'import os; print(os.environ)'])\n",
    "import asyncio\nA = asyncio.create_subprocess_exec('env')\n",
    "from pathlib import Path\nA = (Path('/proc/self') / 'environ').read_bytes()\n",
    "import os\nA = open(f'/proc/{os.getpid()}/environ').read()\n",
    "A = open('/proc/' + 'self' + '/environ').read()\n",
    "import psutil\nA = psutil.Process().environ()\n",
    # by libraries
    "from starlette import config\nHOST = config.Config().get('X')\n",
    "from pydantic.v1 import BaseSettings\nclass S(BaseSettings):\n    x: str\n",
    "import pydantic\nclass S(pydantic.BaseSettings):\n    x: str\n",
    "from dotenv.main import dotenv_values\n",
    "import click\n@click.command(auto_envvar_prefix='X')\ndef f(): pass\n",
    "from glob import glob\nA = glob('config/*.env')\n",
]


def more_of_ours(name: str, more: str) -> Change:
    """Return what adds Lockstep's own module with more in it."""
    return file(f"runtime/{name}", (checkouts.ROOT / "runtime" / name).read_text() + more)


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
    # in Lockstep's own folder, as a file that it does not have, and as one that it has
    ("environ-read", code("import os\nHOST = os.environ['X']\n", "runtime/flags.py")),
    ("environ-read", more_of_ours("loader.py", "\nFLAG = os.environ.get('X')\n")),
    ("environ-read", more_of_ours("secret.py", "\nfrom os import environ\n")),
    ("environ-read", code("import os\nHOST = os.environ['X']\n", "config/flags.py")),
    ("environ-read", code("import os\nHOST = os.environ['X']\n", "lib/deep/more.py")),
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
    more_of_ours("loader.py", "\nMORE = os.getpid()\n"),
    more_of_ours("entry.py", "\n"),
    code("import os\nO = getattr(os, 'sched_getaffinity', None)\nif hasattr(os, 'fork'):\n    A = os.getpid()\n"),
    code("import subprocess\nsubprocess.run(['make', 'env'])\nsubprocess.run(['ls', '--set', 'x'])\n"),
    code("import sys\nA = sys.modules[__name__]\nB = vars(A)['x']\nC = globals()['B']\n"),
    code("A = open('/proc/meminfo').read()\n"),
    code("def getenv(name): return name\nclass B:\n    getenv = getenv\nA = B.getenv('X')\n"),
    code("import os\nA = os.environ['PATH'], os.environ.get('HOME'), os.path.expanduser('~')\n"),
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
