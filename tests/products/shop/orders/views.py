"""The pages."""

import hashlib
from http import HTTPStatus

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from orders.models import Order

LAST = 10


@csrf_exempt
def orders(request: HttpRequest) -> HttpResponse:
    """Take an order, or show the last ones and which key signs tokens."""
    if request.method == "POST":
        order = Order.objects.create(text=request.body.decode())
        return JsonResponse({"order": order.pk}, status=HTTPStatus.CREATED)
    last = list(Order.objects.order_by("-pk").values("text", "sent")[:LAST])
    return JsonResponse({"orders": last, "key": fingerprint(settings.JWT_PRIVATE_KEY)})


def fingerprint(key: str) -> str:
    """Return what a key may be recognised by."""
    return hashlib.sha256(key.encode()).hexdigest()


def healthz(request: HttpRequest) -> HttpResponse:
    """Say whether the database answers."""
    connection.ensure_connection()
    return HttpResponse("ok")
