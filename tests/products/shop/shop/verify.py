"""Ask the public page, as a customer would: `python -m shop.verify`."""

import json
from urllib.request import urlopen

from shop.settings import PUBLIC_URL

with urlopen(f"{PUBLIC_URL}/orders/", timeout=10) as answer:
    orders = json.load(answer)["orders"]
print(f"the shop answers at {PUBLIC_URL}, its page has {len(orders)} orders")
