"""Django, set up without a database."""

import os
import secrets

import django

os.environ |= {"ALLOWED_HOSTS": "*", "REDIS_URL": "redis://localhost"}
os.environ |= {f"POSTGRES_{part}": "0" for part in ("HOST", "PORT", "DB", "USER", "PASSWORD")}
os.environ |= {"DJANGO_SECRET_KEY": secrets.token_hex(), "DJANGO_SETTINGS_MODULE": "shop.settings"}
django.setup()
