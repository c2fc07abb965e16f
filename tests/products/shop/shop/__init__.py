"""A shop, as `django-admin startproject` begins it; Celery is where its manual says."""

from shop.celery import app as celery_app

__all__ = ["celery_app"]
