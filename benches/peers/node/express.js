// A typical handwritten webhook with Express, with a raised body limit.

import { createHmac, timingSafeEqual } from "node:crypto";

import express from "express";

import { serve } from "./serve.js";

const secret = process.env.WHATSAPP_APP_SECRET;
let events = 0;

function verified(body, signature) {
  const right = Buffer.from(`sha256=${createHmac("sha256", secret).update(body).digest("hex")}`);
  const given = Buffer.from(signature ?? "");
  return given.length === right.length && timingSafeEqual(given, right);
}

const app = express();
app.post("/webhook", express.raw({ type: "application/json", limit: "4mb" }), (request, response) => {
  if (!verified(request.body, request.get("x-hub-signature-256"))) {
    response.sendStatus(403);
    return;
  }
  for (const entry of JSON.parse(request.body).entry) {
    for (const { value } of entry.changes) {
      events += (value.messages?.length ?? 0) + (value.statuses?.length ?? 0);
    }
  }
  response.sendStatus(200);
});
serve(app, () => events);
