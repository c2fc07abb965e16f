"""What is known of the environment, and of what reads it: variables that are given, and the calls of libraries.

docs/settings.md says the same to people.
"""

import re
from collections.abc import Iterable


def _names(text: str) -> list[str]:
    return text.split()


# What the system, the engine, Python and what starts a program give to a process, and no key describes. A * stands
# for the rest of a name.
GIVEN = _names("""
PORT PATH HOME USER LOGNAME SHELL PWD HOSTNAME TERM TMPDIR TEMP TMP LANG LANGUAGE LC_* TZ COLUMNS LINES NO_COLOR
CI SSL_CERT_FILE SSL_CERT_DIR XDG_* HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy
no_proxy PYTHON* VIRTUAL_ENV PYTEST_* DJANGO_SETTINGS_MODULE RUN_MAIN NOTIFY_SOCKET WATCHDOG_* LISTEN_PID
LISTEN_FDS LISTEN_FDNAMES KUBERNETES_*
""")
# What libraries read by themselves when it is set: no code of the product names it.
LIBRARIES = _names("""
AWS_* AZURE_* GOOGLE_* OTEL_* SENTRY_* DD_* NEW_RELIC_* GUNICORN_* UVICORN_* HYPERCORN_* CELERY_* FLASK_*
DYNACONF_* SPRING_* NODE_* RAILS_* RACK_* PUMA_* JAVA_* DOTNET_* ASPNETCORE_* PHP_* PYTHON* PGHOST PGHOSTADDR
PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE PGSERVICE PGSSLMODE PGSSLROOTCERT PGAPPNAME PGOPTIONS PGTZ
PGCONNECT_TIMEOUT GOMAXPROCS GOMEMLIMIT GOGC DJANGO_SETTINGS_MODULE WEB_CONCURRENCY FORWARDED_ALLOW_IPS
PROMETHEUS_MULTIPROC_DIR RUST_LOG RUST_BACKTRACE
""")
MAPPINGS = ("os.environ", "os.environb", "posix.environ", "nt.environ", "environ.Env.ENVIRON")
FUNCTIONS = ("os.getenv", "os.getenvb")
EXPANDERS = ("os.path.expandvars",)  # functions that take a text with $NAME in it
MODULES = ("os", "posix", "nt")
GETTERS = ("get", "pop", "setdefault", "__getitem__", "__contains__")
SETTERS = ("update", "clear", "__setitem__", "__delitem__")
READERS = (  # classes whose objects read what they are called with
    "environ.Env",
    "environ.FileAwareEnv",
    "environs.Env",
    "environs.FileAwareEnv",
    "envparse.Env",
    "decouple.Config",
    "decouple.AutoConfig",
    "starlette.config.Config",
)
MADE = ("environs.env", "envparse.env", "decouple.config")  # such objects that a library brings
OTHER = re.compile(r"read_\w+|parse\w*|add_parser|seal|dump|prefixed|unique\w*|\w+_config|Env|ENVIRON|prefix")
UNNAMED = {  # what a method reads that is given no name
    "db": "DATABASE_URL",
    "db_url": "DATABASE_URL",
    "cache": "CACHE_URL",
    "cache_url": "CACHE_URL",
    "email": "EMAIL_URL",
    "email_url": "EMAIL_URL",
    "search_url": "SEARCH_URL",
    "channels": "CHANNELS_URL",
    "channels_url": "CHANNELS_URL",
}
CONFIGS = {  # functions that read one variable, and the one that they read without `env`
    "dj_database_url.config": "DATABASE_URL",
    "dj_email_url.config": "EMAIL_URL",
    "dj_search_url.config": "SEARCH_URL",
    "dj_redis_url.config": "REDIS_URL",
    "django_cache_url.config": "CACHE_URL",
}
PREFIXED = {  # calls that read whatever begins with a prefix: its keyword, its index, and the usual one
    "Dynaconf": ("envvar_prefix", None, "DYNACONF"),
    "from_prefixed_env": ("prefix", 0, "FLASK"),
}
NAMING = ("env", "var", "name", "key", "option", "varname", "variable_name")  # keywords for the name


def is_one(name: str, listed: Iterable[str]) -> bool:
    """Whether a variable is one of a list."""
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in listed)
