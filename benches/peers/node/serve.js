export function serve(app, events) {
  app.get("/count", (_, response) => {
    response.type("text").send(String(events()));
  });
  const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
}
