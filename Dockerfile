# One image, two services: `docker run IMAGE [--bundle FILE] api` or `worker`, as runtime/entry.py describes.
# It holds no value; it runs read-only and as nobody in particular. `inv build` makes it of a commit.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
# `inv build` brings the packages along, fetched by the same hashes for this platform; else pip fetches them here.
COPY requirements/services.txt packages* /opt/site-packages/
WORKDIR /opt/site-packages
RUN ls -d *.dist-info >/dev/null 2>&1 || pip install --no-cache-dir --disable-pip-version-check --no-compile \
        --no-deps --require-hashes --only-binary :all: --target . --requirement services.txt
# Commands that nobody calls, what only compilers, editors and testers read, and the names of the world's cities,
# carriers and time zones, which phonenumbers knows for those who ask: 22 MB.
RUN rm -rf bin services.txt .lock */testing phonenumbers/geodata phonenumbers/carrierdata phonenumbers/tzdata \
    && find . -name '*.py[ix]' -o -name '*.pxd' -o -name '*.[ch]' | xargs rm
# Bytecode of what the services import, which nobody can write later on; that of everything would be 60 MB more.
RUN python -c "import alembic.config, alembic.script, dramatiq.brokers.redis, email_validator, fastapi, httpx, \
    phonenumbers, prometheus_client, psycopg, sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.orm, structlog, \
    twilio.rest, uvicorn.lifespan.on, uvicorn.loops.uvloop, uvicorn.protocols.http.httptools_impl"

FROM ${BASE} AS code
WORKDIR /srv
COPY runtime runtime
COPY model model
COPY app app
COPY worker worker
RUN python -m compileall -q .

FROM ${BASE}
ENV PYTHONPATH=/srv:/opt/site-packages PYTHONUNBUFFERED=1
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
# The worker answers there with --health-port 8000. An engine that knows of readiness asks in its own way.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-ISc", "import socket, sys; s = socket.create_connection(('127.0.0.1', 8000), 4); s.sendall(b'GET /readyz HTTP/1.0\\r\\n\\r\\n'); sys.exit(b' 200 ' not in s.recv(64))"]
ENTRYPOINT ["python", "-m", "runtime.entry"]
COPY --from=packages /opt/site-packages /opt/site-packages
# All that differs from commit to commit is the last layer, so that it is the one that has to be looked at.
COPY --from=code /srv /srv
