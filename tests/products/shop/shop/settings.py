"""Django's settings, which read the environment themselves."""

import os

import sentry_sdk

ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
CELERY_BEAT_SCHEDULE = {"send": {"task": "orders.tasks.send", "schedule": 1.0}}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_URL = os.environ["REDIS_URL"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["POSTGRES_DB"],
        "USER": os.environ["POSTGRES_USER"],
        "PASSWORD": os.environ["POSTGRES_PASSWORD"],
        "HOST": os.environ["POSTGRES_HOST"],
        "PORT": os.environ["POSTGRES_PORT"],
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
