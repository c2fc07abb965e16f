"""Its api: `python -m bench.plain.api FD`, where FD is a listening socket that was handed over."""

import os
import socket
import sys
from typing import Literal
from uuid import UUID

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from bench.plain import store

app = FastAPI()
database, broker = store.database(os.environ["DATABASE_URL"]), store.broker(os.environ["REDIS_URL"])


class Submission(BaseModel):
    """A message to be sent."""

    channel: Literal["sms", "email"]
    to: str = Field(max_length=320)
    subject: str | None = None
    body: str = Field(min_length=1, max_length=100_000)


class Receipt(BaseModel):
    """That it was accepted."""

    id: UUID
    status: str


@app.post("/v1/notifications", status_code=202)
def submit(submission: Submission) -> Receipt:
    """Keep it, and have it delivered."""
    row = store.Message(
        channel=submission.channel, recipient=submission.to, subject=submission.subject, body=submission.body
    )
    with Session(database, expire_on_commit=False) as session:
        session.add(row)
        session.commit()
    store.enqueue(broker, str(row.id))
    return Receipt(id=row.id, status=row.status)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that it runs."""
    return {"status": "ok"}


if __name__ == "__main__":
    uvicorn.Server(uvicorn.Config(app, access_log=False)).run([socket.socket(fileno=int(sys.argv[1]))])
