"""Modules that may read the environment by themselves, and what they read."""

from tests.lockstep.gates.parity.changes import Change, both, code, settings, swap

WORD = "made-up"
OS = "import os\n"
DJANGO = "import environ\nenv = environ.Env()\n"
ENVIRONS = "from environs import Env\nenv = Env()\n"
PYDANTIC = (
    "from typing import Annotated, ClassVar\nfrom pydantic import AliasChoices, BaseModel, Field, SecretStr\n"
    "from pydantic_settings import BaseSettings, SettingsConfigDict\n"
)
FIELDS = f"{PYDANTIC}class A(BaseSettings):\n    "
CONFIG = f"{FIELDS}model_config = SettingsConfigDict"
HELPER = "import os\ndef get_env(name, default=None):\n    return os.environ.get(name, default)\n"
METHOD = f"{OS}class A:\n    def get(self, name):\n        return os.environ[name]\n"

# Each reads NAME.
READS = [
    f"{OS}A = os.environ['NAME']\n",
    f"{OS}A = os.environ.get('NAME')\n",
    f"{OS}A = os.environ.get('NAME', 'x')\n",
    f"{OS}A = os.environ.setdefault('NAME', 'x')\n",
    f"{OS}A = os.environ.pop('NAME')\n",
    f"{OS}A = 'NAME' in os.environ\n",
    f"{OS}A = os.getenv('NAME')\n",
    f"{OS}A = os.getenv(key='NAME', default='x')\n",
    f"{OS}A = os.environb[b'NAME']\n",
    "import os as o\nA = o.environ['NAME']\n",
    "from os import environ\nA = environ['NAME']\n",
    "from os import environ as e\nA = e.get('NAME')\n",
    "from os import getenv as g\nA = g('NAME')\n",
    "from os import *\nA = environ['NAME']\n",
    "A = __import__('os').environ['NAME']\n",
    f"{OS}A = getattr(os, 'environ')['NAME']\n",
    f"{OS}env = os.environ\nA = env['NAME']\n",
    f"{OS}get = os.getenv\nA = get('NAME')\n",
    f"{OS}KEY = 'NAME'\nA = os.environ[KEY]\n",
    f"{OS}START = 'NAME'\nA = os.environ[f'{{START}}']\n",
    f"{OS}A = os.environ['NAME' if True else 'LOG_LEVEL']\n",
    f"{OS}A = [os.environ[name] for name in ('NAME', 'LOG_LEVEL')]\n",
    f"{OS}for name in ['NAME']:\n    print(os.environ[name])\n",
    f"{OS}def f():\n    return int(os.environ['NAME'])\n",
    f"{HELPER}A = get_env('NAME')\n",
    f"{HELPER}A = get_env(name='NAME')\n",
    f"{HELPER}def get_bool(key):\n    return get_env(key) == '1'\nA = get_bool('NAME')\n",
    f"{METHOD}    b = lambda self: self.get('NAME')\n",
    f"{METHOD}a = A()\nB = a.get('NAME')\n",
    f"{OS}def get(name='NAME'):\n    return os.environ[name]\nA = get()\n",
    f"{DJANGO}A = env('NAME')\n",
    f"{DJANGO}A = env.str('NAME')\n",
    f"{DJANGO}A = env.bool('NAME', default=False)\n",
    f"{DJANGO}A = env.db('NAME')\n",
    f"{DJANGO}A = env.list(var='NAME')\n",
    f"{DJANGO}A = 'NAME' in env\n",
    f"{DJANGO}A = env.ENVIRON['NAME']\n",
    "import environ\nA = environ.Env.ENVIRON['NAME']\n",
    "import environ\nenv = environ.Env(NAME=(bool, False))\n",
    "import environ as e\nenv = e.Env(NAME=str)\n",
    "from environ import Env\nenv = Env()\nA = env('NAME')\n",
    "import environ\nclass A:\n    env = environ.Env()\n    def b(self): return self.env('NAME')\n",
    f"{ENVIRONS}A = env.int('NAME')\n",
    f"{ENVIRONS}A = env.list('NAME', subcast=int)\n",
    f"{ENVIRONS}with env.prefixed('NA'):\n    A = env('ME')\n".replace("'NA'", "'NAME'").replace("'ME'", "''"),
    "from environs import env\nA = env.str('NAME')\n",
    "from decouple import config\nA = config('NAME')\n",
    "from decouple import config, Csv\nA = config('NAME', cast=Csv())\n",
    "import decouple\nA = decouple.config('NAME', default=1)\n",
    "from decouple import AutoConfig\nconfig = AutoConfig()\nA = config('NAME')\n",
    "from starlette.config import Config\nconfig = Config()\nA = config('NAME', cast=bool)\n",
    "from starlette.config import Config\nconfig = Config('.env')\nA = config.get('NAME')\n",
    "from envparse import env\nA = env.int('NAME')\n",
    "import dj_database_url\nA = dj_database_url.config(env='NAME')\n",
    "import dj_database_url\nA = dj_database_url.config('NAME')\n",
    "from dj_email_url import config\nA = config(env='NAME')\n",
    "app.config.from_envvar('NAME')\n",
    "import click\n@click.option('--a', envvar='NAME')\ndef f(a): pass\n",
    "import click\n@click.option('--a', envvar=['NAME', 'LOG_LEVEL'])\ndef f(a): pass\n",
    f"{FIELDS}name: str\n",
    f"{FIELDS}name: str | None = None\n",
    f"{CONFIG}(case_sensitive=True)\n    NAME: str\n",
    f"{FIELDS}a: str = Field(alias='NAME')\n",
    f"{FIELDS}a: str = Field('x', validation_alias='NAME')\n",
    f"{FIELDS}a: str = Field(validation_alias=AliasChoices('NAME', 'LOG_LEVEL'))\n",
    f"{PYDANTIC}class B(BaseSettings):\n    pass\nclass A(B):\n    name: str\n",
    "import pydantic_settings as ps\nclass A(ps.BaseSettings):\n    name: str\n",
    "from pydantic import BaseSettings, Field\nclass A(BaseSettings):\n    a: str = Field(env='NAME')\n",
    f"{FIELDS}a: Annotated[str, Field(validation_alias='NAME')]\n",
]
# Each reads SMTP_HOST, whose name is not written out as one.
READS_SMTP_HOST = [
    f"{OS}A = [os.environ[f'SMTP_{{name}}'] for name in ('HOST', 'PORT')]\n",
    f"{OS}A = os.environ['SMTP_' + 'HOST']\n",
    f"{OS}def get(name):\n    return os.environ['SMTP_' + name.upper()]\nA = get('host')\n",
    f"{ENVIRONS}with env.prefixed('SMTP_'):\n    A = env('HOST')\n",
    f"{ENVIRONS}with env.prefixed('SMTP'):\n    with env.prefixed('_'):\n        A = env('HOST')\n",
    f"{DJANGO}env.prefix = 'SMTP_'\nA = env('HOST')\n",
    "from starlette.config import Config\nconfig = Config(env_prefix='SMTP_')\nA = config('HOST')\n",
    f"{CONFIG}(env_prefix='SMTP_')\n    host: str\n",
    f"{FIELDS}model_config = {{'env_prefix': 'SMTP_'}}\n    host: str\n",
    f"{FIELDS}host: str\n    class Config:\n        env_prefix = 'smtp_'\n",
    f"{CONFIG}(env_prefix='SMTP_')\nclass B(A):\n    host: str\n",
    f"{CONFIG}(env_nested_delimiter='_')\n    smtp: B\nclass B(BaseModel):\n    host: str\n",
    "app.config.from_prefixed_env('SMTP')\n",
    "from dynaconf import Dynaconf\nsettings = Dynaconf(envvar_prefix='SMTP')\n",
]
# Each holds NAME and does not read it.
READS_NOT = [
    "A = {}.get('NAME')\n",
    "A = {}['NAME']\n",
    "environ = {}\nA = environ.get('NAME')\n",
    "def f(environ):\n    return environ['NAME']\n",
    f"{OS}os.environ['NAME'] = 'x'\n",
    f"{OS}del os.environ['NAME']\n",
    f"{OS}os.environ.update(NAME='x')\n",
    f"{OS}A = os.path.join('NAME')\n",
    f"{DJANGO}env.read_env('NAME')\n",
    f"{DJANGO}A = env.db_url_config('NAME')\n",
    "import environ\nenviron.Env.read_env('NAME')\n",
    f"{DJANGO}A = env.db('DATABASE_URL', 'NAME')\n".replace("'DATABASE_URL', ", "'LOG_LEVEL', "),
    "import dj_database_url\nA = dj_database_url.parse('NAME')\n",
    "from decouple import Csv\nA = Csv()('NAME')\n",
    "from app import config\nA = config('NAME')\n",
    "def get_env(name):\n    return {}[name]\nA = get_env('NAME')\n",
    f"{METHOD}A().get('LOG_LEVEL')\nB = {{}}.get('NAME')\n",
    f"{CONFIG}(title='NAME')\n",
    f"{FIELDS}name: ClassVar[str] = 'x'\n",
    f"{FIELDS}_name: str = 'x'\n",
    f"{FIELDS}log_level: str\n    def name(self): pass\n",
    f"{FIELDS}name: str = Field(alias='LOG_LEVEL')\n",
    "from pydantic import BaseModel\nclass A(BaseModel):\n    name: str\n",
]
UNKNOWN = [
    f"{DJANGO}A = env.cache()\n",  # CACHE_URL
    f"{DJANGO}A = env.email_url()\n",
    "import dj_email_url\nA = dj_email_url.config()\n",
    f"{CONFIG}(env_prefix='X_')\n    log_level: str\n",
    f"{CONFIG}(case_sensitive=True)\n    log_level: str\n",
    f"{OS}A = os.environ['OTHER_FILE']\n",
    f"{OS}A = os.environ['PORTS']\n",
    f"{HELPER}A = get_env('LOG_LEVEL') or get_env('OTHER')\n",
]
COMPUTED = [
    f"{HELPER}A = list(map(get_env, ['LOG_LEVEL']))\n",
    f"{HELPER}A = {{}}.get_env('LOG_LEVEL')\n",  # the function is not called that is defined here
    f"{OS}A = os.environ[input()]\n",
    f"{OS}def f(name):\n    return os.environ[name]\nA = f(input())\n",
    f"{OS}A = {{**os.environ}}\n",
    f"{OS}A = dict(os.environ)\n",
    f"{OS}A = os.environ.copy()\n",
    f"{OS}for name in os.environ:\n    print(name)\n",
    f"{OS}A = [value for name, value in os.environ.items()]\n",
    f"{OS}A = list(map(os.getenv, ['LOG_LEVEL']))\n",
    f"{OS}KEY = input()\nA = os.getenv(KEY)\n",
    f"{OS}KEY = 'LOG_LEVEL'\nKEY += '_X'\nA = os.getenv(KEY)\n",
    f"{OS}from app import names\nA = os.getenv(names.KEY)\n",
    f"{OS}A = os.environ[f'SMTP_{{input()}}']\n",
    f"{DJANGO}A = env(input())\n",
    "import click\n@click.option('--a', envvar=input())\ndef f(a): pass\n",
    f"{CONFIG}(env_prefix=input())\n    a: str\n",
    f"{FIELDS}a: str = Field(alias=input())\n",
    "A = open('/proc/self/environ').read()\n",
]
# Defaults of SMTP_PASSWORD, which is a secret.
DEFAULTS = [
    f"{OS}A = os.environ.get('SMTP_PASSWORD', '{WORD}')\n",
    f"{OS}A = os.getenv('SMTP_PASSWORD', default='{WORD}')\n",
    f"{OS}A = os.environ.setdefault('SMTP_PASSWORD', '{WORD}')\n",
    f"{OS}A = os.environ.get('SMTP_PASSWORD') or '{WORD}'\n",
    f"{OS}USUAL = '{WORD}'\nA = os.getenv('SMTP_PASSWORD', USUAL)\n",
    f"{OS}A = os.getenv('SMTP_PASSWORD', f'{WORD}-{{os.getpid()}}')\n",
    f"{OS}A = os.getenv('DATABASE_URL', 'postgres://app:{WORD}@localhost/app')\n",
    f"{HELPER}A = get_env('SMTP_PASSWORD', '{WORD}')\n",
    f"{DJANGO}A = env('SMTP_PASSWORD', default='{WORD}')\n",
    f"{DJANGO}A = env.str('SMTP_PASSWORD', '{WORD}')\n",
    f"import environ\nenv = environ.Env(SMTP_PASSWORD=(str, '{WORD}'))\n",
    f"from decouple import config\nA = config('SMTP_PASSWORD', default='{WORD}')\n",
    f"import dj_database_url\nA = dj_database_url.config(default='postgres://app:{WORD}@localhost/app')\n",
    f"{FIELDS}smtp_password: str = '{WORD}'\n",
    f"{FIELDS}smtp_password: str = Field('{WORD}')\n",
    f"{FIELDS}smtp_password: str = Field(default='{WORD}')\n",
    f"{FIELDS}smtp_password: SecretStr = SecretStr('{WORD}')\n",
    f"{FIELDS}a: str = Field('{WORD}', validation_alias='SMTP_PASSWORD')\n",
]
# Reads of secrets and of plain keys that no secret is written for.
NO_DEFAULTS = [
    f"{OS}A = os.environ.get('SMTP_PASSWORD', '')\n",
    f"{OS}A = os.environ.get('SMTP_PASSWORD', None)\n",
    f"{OS}A = os.environ.get('SMTP_PASSWORD') or None\n",
    f"{OS}A = os.environ.get('SMTP_HOST', 'localhost')\n",
    f"{OS}A = os.environ.get('SMTP_HOST') or 'localhost'\n",
    f"{OS}import secrets\nA = os.getenv('SMTP_PASSWORD', secrets.token_hex())\n",
    f"{OS}A = os.getenv('DATABASE_URL', f'sqlite:///{{os.getcwd()}}/app.db')\n",
    f"{DJANGO}A = env.db('DATABASE_URL', default='postgres://localhost/app')\n",
    f"{DJANGO}A = env.db()\nB = env.str('SMTP_PASSWORD')\n",
    "import dj_database_url\nA = dj_database_url.config(conn_max_age=600)\n",
    f"{FIELDS}smtp_password: str = ''\n    smtp_host: str = 'localhost'\n",
    f"{FIELDS}smtp_password: str = Field(description='a word')\n",
]
UNREAD = swap("worker/mail.py", r"config\.smtp_host", "'mail'")


def named(text: str, name: str) -> Change:
    """Return what adds a settings module that reads a variable."""
    return settings(text.replace("NAME", name).replace(" name:", f" {name.lower()}:"))


BAD: list[tuple[str, Change]] = [
    *(("unknown-read", named(text, "SMTP_HSOT")) for text in READS),
    *(("unknown-read", settings(text)) for text in UNKNOWN),
    *(("unread", both(UNREAD, named(text, "SMTP_HOST"))) for text in READS_NOT),
    *(("computed-read", settings(text)) for text in COMPUTED),
    *(("secret-default", settings(text)) for text in DEFAULTS),
    # only what is listed is a settings module
    *(("environ-read", code(text.replace("NAME", "SMTP_HOST"))) for text in READS[:40]),
    ("environ-read", both(settings(f"{DJANGO}"), code("from app.settings import env\nA = env('SMTP_HOST')\n"))),
    ("environ-read", both(settings(HELPER), code("from app.settings import get_env\nA = get_env('SMTP_HOST')\n"))),
    ("environ-read", both(settings(""), code(f"{OS}A = os.environ['SMTP_HOST']\n", "app/settings_of.py"))),
]
GOOD: list[Change] = [
    *(both(UNREAD, named(text, "SMTP_HOST")) for text in READS),
    *(both(UNREAD, settings(text)) for text in READS_SMTP_HOST),
    *(named(text, "SMTP_HSOT") for text in READS_NOT),
    *(settings(text) for text in NO_DEFAULTS),
    settings(f"{OS}A = [os.environ[name] for name in ('PORT', 'HOME', 'PYTHONPATH', 'TZ', 'LC_ALL')]\n"),
    settings(f"{OS}os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'app.settings')\n"),
    settings(f"{OS}A = open(os.environ['SMTP_PASSWORD_FILE']).read()\n"),
    settings("from dotenv import load_dotenv\nload_dotenv('.env')\n"),
    settings(f"{DJANGO}A = env.cache('REDIS_URL')\n"),
    settings(f"{HELPER}def other(name):\n    return other(name)\nA = get_env('LOG_LEVEL')\n"),
    settings(f"{OS}def get(name):\n    return get(name) or os.environ[name]\nA = get('LOG_LEVEL')\n"),
    # one settings module takes what another has
    both(
        settings(DJANGO, "app/base.py"),
        settings("from app.base import env\nA = env('LOG_LEVEL')\n"),
    ),
    both(UNREAD, settings(DJANGO, "app/base.py"), settings("from .base import *\nA = env('SMTP_HOST')\n")),
    both(UNREAD, settings(DJANGO, "app/base.py"), settings("from .base import env as e\nA = e('SMTP_HOST')\n")),
    both(
        UNREAD, settings(HELPER, "app/base.py"), settings("from .base import get_env\nA = get_env('SMTP_HOST')\n")
    ),
    both(
        UNREAD, settings(HELPER, "app/base.py"), settings("from app import base\nA = base.get_env('SMTP_HOST')\n")
    ),
]
