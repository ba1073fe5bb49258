"""One process and one thread of uvicorn, with what it is fastest with. Prints its port when it listens."""

import socket

import uvicorn


def serve(app, events):
    @app.get("/count")
    async def count() -> int:
        return events()

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    # Who connects from now on waits until it is accepted.
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])
