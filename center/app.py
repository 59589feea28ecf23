"""The center as one process: MQTT in the event loop, the store in its own thread, one TaskGroup."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

from center.mqtt import Broker, Link
from center.receiver import Message, Receiver
from center.worker import Inbox, Worker

log = logging.getLogger("center")

_JOIN_S = 30.0


class _Stop(Exception):  # noqa: N818 - not an error: someone asked the process to end
    """Ends the TaskGroup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one center process serves."""

    city: str
    broker: Broker
    make_receiver: Callable[[], Receiver]


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then finish the transaction. An unexpected error of any part ends all."""
    loop = asyncio.get_running_loop()
    inbox = Inbox()
    link = Link(settings.broker, city=settings.city, receive=inbox.put)

    def send(messages: list[Message]) -> None:
        if messages:
            loop.call_soon_threadsafe(link.send, messages)

    worker = Worker(inbox, settings.make_receiver, send)
    ended: asyncio.Future[None] = loop.create_future()
    thread = threading.Thread(target=_thread, args=(worker, loop, ended), name="store", daemon=True)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    thread.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(link.run(), name="mqtt")
            tasks.create_task(link.publish(), name="acks")
            tasks.create_task(_raise_when(stopped), name="signals")
            tasks.create_task(_await(ended), name="store")
    except* _Stop:
        log.info("stopping")
    finally:
        worker.stop()
        await asyncio.to_thread(thread.join, _JOIN_S)
        if ended.done() and not ended.cancelled():
            ended.exception()  # raised above already, or by the line below the group


async def _raise_when(stopped: asyncio.Event) -> None:
    await stopped.wait()
    raise _Stop


async def _await(ended: asyncio.Future[None]) -> None:
    await asyncio.shield(ended)


def _thread(worker: Worker, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
    def tell(error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    try:
        worker.run()
    except BaseException as error:  # noqa: BLE001 - handed to the event loop, which ends the process with it
        loop.call_soon_threadsafe(tell, error)
    else:
        loop.call_soon_threadsafe(tell, None)
