"""What is kept."""

from django.db import models


class Order(models.Model):
    """What somebody bought, and whether it was sent."""

    text = models.TextField()
    sent = models.BooleanField(default=False)
