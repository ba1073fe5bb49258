"""One process and one thread of uvicorn with its fastest options. Prints its port when it is listening."""

import socket

import uvicorn


def serve(app, events):
    @app.get("/count")
    async def count() -> int:
        return events()

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    # Connections wait in the backlog from here on.
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])
