// whatsapp-api-js with its Express middleware, as in its documentation, with a raised body limit.

import express from "express";
import { WhatsAppAPI } from "whatsapp-api-js/middleware/express";

import { serve } from "./serve.js";

const whatsapp = new WhatsAppAPI({
  token: "unused",
  appSecret: process.env.WHATSAPP_APP_SECRET,
  webhookVerifyToken: "token",
  v: "v24.0",
});
let events = 0;
whatsapp.on.message = () => {
  events += 1;
};
whatsapp.on.status = () => {
  events += 1;
};

const app = express();
app.post("/webhook", express.text({ type: "*/*", limit: "4mb" }), async (request, response) => {
  response.sendStatus(await whatsapp.handle_post(request));
});
serve(app, () => events);
