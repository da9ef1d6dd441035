# Millrace in a container: one image for every service; the command says which.
#   docker build -t millrace .
#   docker run millrace run transform --project /project

FROM rust:1.95-slim-trixie AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential pkg-config libssl-dev zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo build --profile dist --locked --bin millrace && scripts/crash-points.sh none target/dist/millrace \
    && cp target/dist/millrace /usr/local/bin/millrace

FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libssl3t64 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /project millrace
COPY --from=build /usr/local/bin/millrace /usr/local/bin/millrace
USER millrace
WORKDIR /project
# Where the push gateway listens, and health and metrics.
ENV MILLRACE_HTTP=0.0.0.0:8080 MILLRACE_ADMIN=0.0.0.0:9600
EXPOSE 8080 9600
ENTRYPOINT ["millrace"]
CMD ["--help"]
