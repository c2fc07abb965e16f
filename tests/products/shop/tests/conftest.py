"""Django, set up without a database."""

import os
import secrets

import django

os.environ |= {"ALLOWED_HOSTS": "*", "DATABASE_URL": "postgres://localhost/shop", "REDIS_URL": "redis://localhost"}
os.environ |= {"DJANGO_SECRET_KEY": secrets.token_hex(), "DJANGO_SETTINGS_MODULE": "shop.settings"}
django.setup()
