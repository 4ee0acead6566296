"""Accept connections on two ports, and hold each until the other side closes it."""

import asyncio


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hold one connection."""
    await reader.read()
    writer.close()


async def main() -> None:
    """Listen on all addresses."""
    for port in (80, 8080):
        await asyncio.start_server(serve, port=port)
    await asyncio.Event().wait()


asyncio.run(main())
