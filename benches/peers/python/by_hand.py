"""A typical handwritten webhook with FastAPI."""

import hashlib
import hmac
import json
import os

from fastapi import FastAPI, Request, Response

from serve import serve

SECRET = os.environ["WHATSAPP_APP_SECRET"].encode()

app = FastAPI()
events = 0


def verified(body: bytes, signature: str) -> bool:
    right = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right.encode(), signature.encode())


@app.post("/webhook")
async def on_delivery(request: Request) -> Response:
    global events
    body = await request.body()
    if not verified(body, request.headers.get("x-hub-signature-256", "")):
        return Response(status_code=403)
    for entry in json.loads(body)["entry"]:
        for change in entry["changes"]:
            value = change["value"]
            events += len(value.get("messages", ())) + len(value.get("statuses", ()))
    return Response()


serve(app, lambda: events)
