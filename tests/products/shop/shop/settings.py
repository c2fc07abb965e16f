"""Django's settings, which read the environment themselves."""

import os
from urllib.parse import urlsplit

import sentry_sdk

_database = urlsplit(os.environ["DATABASE_URL"])

ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
CELERY_BEAT_SCHEDULE = {"send": {"task": "orders.tasks.send", "schedule": 1.0}}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_URL = os.environ["REDIS_URL"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path.removeprefix("/"),
        "USER": _database.username,
        "PASSWORD": _database.password,
        "HOST": _database.hostname,
        "PORT": _database.port,
    }
}
DEBUG = os.environ.get("DEBUG") == "true"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["orders"]
JWT_PRIVATE_KEY = os.environ.get("JWT_PRIVATE_KEY", "")
PUBLIC_URL = os.environ.get("PUBLIC_URL", "")
ROOT_URLCONF = "shop.urls"
SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
SENTRY_DSN = os.getenv("SENTRY_DSN")
STRIPE_SECRET_KEY = os.environ.get("STRIPE_SECRET_KEY", "")
USE_TZ = True

if SENTRY_DSN:
    sentry_sdk.init(SENTRY_DSN)
