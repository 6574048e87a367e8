# Cairn in a container: built in one stage, run in another that holds the binary, the C library and
# nothing else: no shell, no package manager, no root.
FROM rust:1.95-bookworm AS builder
WORKDIR /build

# The dependencies are built in a layer of their own, from the manifests and empty sources, so that
# a change of Cairn's own code does not build them again.
COPY Cargo.toml Cargo.lock ./
COPY .cargo/ .cargo/
COPY types/Cargo.toml types/
COPY protocol/Cargo.toml protocol/
COPY listener/Cargo.toml listener/
COPY gateway/Cargo.toml gateway/
COPY gateway/policy/Cargo.toml gateway/policy/
COPY metanode/Cargo.toml metanode/
COPY metanode/planner/Cargo.toml metanode/planner/
COPY lifecycle/Cargo.toml lifecycle/
COPY datanode/Cargo.toml datanode/
COPY load/Cargo.toml load/
COPY sim/Cargo.toml sim/
COPY tests/clients/Cargo.toml tests/clients/
COPY tests/cluster/Cargo.toml tests/cluster/
RUN for crate in . types protocol listener gateway gateway/policy metanode metanode/planner lifecycle datanode load sim tests/clients tests/cluster; do \
        mkdir -p $crate/src && touch $crate/src/lib.rs; \
    done \
    && mkdir protocol/benches gateway/benches gateway/policy/benches metanode/benches metanode/planner/benches \
    && touch protocol/benches/combine.rs gateway/benches/requests.rs gateway/policy/benches/decide.rs metanode/benches/versions.rs metanode/benches/writer.rs metanode/benches/lifecycle.rs metanode/planner/benches/placement.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --profile dist --locked --package cairn \
    && rm -r src types protocol listener gateway metanode lifecycle datanode load sim tests

COPY . .
# Cargo compares times: the real sources must be newer than what the empty ones were built to.
RUN find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --profile dist --locked --package cairn \
    # Names of functions stay for back traces; line tables would make the image eight times as large.
    && strip --strip-debug target/dist/cairn
# Directories that the unprivileged user owns; a volume mounted on one of them starts as its copy,
# with its owner.
RUN mkdir -p /image/data /image/secret && chmod 700 /image/data /image/secret

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=builder /build/target/dist/cairn /usr/local/bin/cairn
COPY --from=builder --chown=65532:65532 /image/data /var/lib/cairn
COPY --from=builder --chown=65532:65532 /image/secret /secret
USER 65532:65532
WORKDIR /var/lib/cairn
ENV CAIRN_DATA_DIR=/var/lib/cairn \
    CAIRN_LISTEN=0.0.0.0:9000
EXPOSE 9000
ENTRYPOINT ["/usr/local/bin/cairn"]
CMD ["server"]
