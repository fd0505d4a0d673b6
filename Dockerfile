# The gateway alone, for a Kafka that is there (docker-compose.yml has one): no Java, no local Kafka.

FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
# No install scripts: the one that matters fetches a Node, and this image is one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN node scripts/build.mjs && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production MALLOC_ARENA_MAX=1
WORKDIR /app
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY package.json sluice.yaml LICENSE ./
COPY bin bin
COPY proto proto
COPY devices devices
COPY schema schema
# Where sessions are kept: a volume, so that they outlive the container.
RUN mkdir .sluice && chown node:node .sluice
VOLUME /app/.sluice
USER node
EXPOSE 1883 8080
# 8080 is the admin port of sluice.yaml; a container that sets another needs a check of its own.
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8080/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "--max-semi-space-size=4", "--expose-gc", "bin/sluice.js"]
CMD ["run"]
