"""The provider of keys, which keeps them in a file: `python -m worker.keys` answers one request on stdin."""

import json
import secrets
import sys
from pathlib import Path

KEPT = Path(".local/keys.json")  # every valid key, with the tag of the rotation that made it

request = json.load(sys.stdin)
keys = json.loads(KEPT.read_text()) if KEPT.exists() else {request["old"]: ""}
answer: dict[str, object] = {}
match request["ask"]:
    case "make" | "sweep" as ask:
        keys = {key: tag for key, tag in keys.items() if tag != request["tag"]}
        if ask == "make":
            answer["value"] = f"SK{secrets.token_hex(16)}:{secrets.token_urlsafe(24)}"
            keys[answer["value"]] = request["tag"]
    case "admits":
        answer["valid"] = request["value"] in keys
    case "revoke":
        keys.pop(request["value"], None)
KEPT.parent.mkdir(exist_ok=True)
KEPT.write_text(json.dumps(keys))
print(json.dumps(answer))  # noqa: T201, the answer
