FROM node:18-bookworm-slim
WORKDIR /srv
USER 10001:10001
COPY server.js ./
