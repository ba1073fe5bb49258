"""pywa with FastAPI, as in its documentation."""

import os

from fastapi import FastAPI
from pywa_async import WhatsApp, types

from serve import serve

app = FastAPI()
whatsapp = WhatsApp(
    phone_id="100000000000001",
    token="unused",
    server=app,
    webhook_endpoint="/webhook",
    verify_token="token",
    app_secret=os.environ["WHATSAPP_APP_SECRET"],
    # The sender repeats the same delivery.
    skip_duplicate_updates=False,
)
events = 0


@whatsapp.on_message
async def on_message(_: WhatsApp, message: types.Message) -> None:
    global events
    events += 1


@whatsapp.on_message_status
async def on_status(_: WhatsApp, status: types.MessageStatus) -> None:
    global events
    events += 1


serve(app, lambda: events)
