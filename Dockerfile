# One image for every service and job but the sandbox: config/schema.yaml says what each is started by.
# It holds no value; it runs read-only and as nobody in particular. `inv build` makes it of a commit.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
# `inv build` brings the packages along, fetched by the same hashes for this platform; else pip fetches them here.
COPY requirements/services.txt packages* /opt/site-packages/
WORKDIR /opt/site-packages
RUN ls -d *.dist-info >/dev/null 2>&1 || pip install --no-cache-dir --disable-pip-version-check --no-compile \
        --no-deps --require-hashes --only-binary :all: --target . --requirement services.txt
# Commands that nobody calls, what only compilers, editors and testers read, the names of the world's cities, carriers
# and time zones, which phonenumbers knows for those who ask, and a page that nobody serves: 23 MB.
RUN rm -rf bin services.txt .lock */testing phonenumbers/geodata phonenumbers/carrierdata phonenumbers/tzdata \
        fastapi_offline/static/redoc.standalone.js \
    && find . -name '*.py[ix]' -o -name '*.pxd' -o -name '*.[ch]' | xargs rm
# Bytecode of what the services import, which nobody can write later on; that of everything would be 60 MB more.
RUN python -c "import alembic.config, alembic.script, dramatiq.brokers.redis, email_validator, fastapi, httpx, \
    phonenumbers, prometheus_client, psycopg, sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.orm, structlog, \
    twilio.rest, uvicorn.lifespan.on, uvicorn.loops.uvloop, uvicorn.protocols.http.httptools_impl"

FROM ${BASE} AS code
WORKDIR /srv
COPY model model
COPY app app
COPY worker worker
RUN python -m compileall -q .

FROM ${BASE}
ENV PYTHONPATH=/srv:/opt/site-packages PYTHONUNBUFFERED=1
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "app"]
COPY --from=packages /opt/site-packages /opt/site-packages
# All that differs from commit to commit is the last layer, so that it is the one that has to be looked at.
COPY --from=code /srv /srv
