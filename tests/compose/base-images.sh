#!/usr/bin/env bash
# Makes local stand-ins for the base images that the Dockerfile names, from the packages of this
# machine, for machines that can reach no image registry.
#
#   builder   this machine's Rust toolchain and C compiler, and the crates of Cargo.lock, so that
#             `cargo build` needs no network
#   runtime   the C library, and a user without privileges
#
# An image of that name that this script did not make is the real one, and is kept. Stand-ins are
# made again when Cargo.lock, the toolchain or this script changes.
set -euo pipefail
cd "$(dirname "$0")/../.."

mapfile -t names < <(sed -n 's/^FROM \([^ ]*\).*/\1/p' Dockerfile)
builder=${names[0]}
runtime=${names[1]}
made_from=$({ rustc --version --verbose; sha256sum Cargo.lock tests/compose/base-images.sh; } | sha256sum | cut -c1-16)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# Whether image $1 must be made.
wanted() {
    local label
    label=$(docker image inspect --format '{{index .Config.Labels "cairn.stand-in"}}' "$1" 2>/dev/null) || return 0
    [ -n "$label" ] && [ "$label" != "$made_from" ]
}

# Prints the named packages and their dependencies, as far as they are installed.
with_dependencies() {
    apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances "$@" | grep '^[a-z]' | sort -u
}

# Copies the files of the named packages into directory $1, in the merged-/usr layout.
copy_packages() {
    local root=$1
    shift
    mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{tmp,etc,root,proc,sys,dev,home}
    chmod 1777 "$root/tmp"
    local directory
    for directory in bin sbin lib lib64; do ln -s "usr/$directory" "$root/$directory"; done
    dpkg -L "$@" | grep -vE '^/usr/share/(doc|man|info|locale|lintian)/' | sort -u \
        | sed -E 's,^/(bin|sbin|lib|lib64)/,/usr/\1/,' \
        | while read -r path; do
              if [ -L "$path" ] || [ -f "$path" ]; then echo "${path#/}"; fi
          done > "$tree/files"
    tar -C / --ignore-failed-read -cf - -T "$tree/files" | tar -C "$root" -xf -
}

# Imports directory $1 as image $2; the other arguments are changes to its configuration.
import() {
    local root=$1 image=$2 changes=()
    shift 2
    for change in "LABEL cairn.stand-in=$made_from" "$@"; do changes+=(--change "$change"); done
    tar -C "$root" -cf - . | docker import "${changes[@]}" - "$image" >/dev/null
    echo "made $image from this machine's files"
}

if wanted "$builder"; then
    mapfile -t packages < <(with_dependencies bash coreutils findutils sed grep gcc g++ libc6-dev make mawk)
    copy_packages "$tree/builder" "${packages[@]}"
    ln -sf bash "$tree/builder/usr/bin/sh"
    ln -sf mawk "$tree/builder/usr/bin/awk"
    ln -sf gcc "$tree/builder/usr/bin/cc"
    ln -sf g++ "$tree/builder/usr/bin/c++"
    mkdir -p "$tree/builder/usr/local/rust" "$tree/builder/usr/local/cargo"
    tar -C "$(rustc --print sysroot)" --exclude=./share --exclude=./lib/rustlib/src -cf - ./bin ./lib \
        | tar -C "$tree/builder/usr/local/rust" -xf -
    cargo fetch --locked --quiet
    tar -C "${CARGO_HOME:-$HOME/.cargo}" -cf - registry/cache registry/index \
        | tar -C "$tree/builder/usr/local/cargo" -xf -
    import "$tree/builder" "$builder" \
        "ENV PATH=/usr/local/rust/bin:/usr/bin:/usr/sbin" \
        "ENV CARGO_HOME=/usr/local/cargo" \
        "ENV CARGO_NET_OFFLINE=true"
    rm -rf "$tree/builder"
fi

if wanted "$runtime"; then
    copy_packages "$tree/runtime" libc6 libgcc-s1
    printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' \
        > "$tree/runtime/etc/passwd"
    printf 'root:x:0:\nnonroot:x:65532:\n' > "$tree/runtime/etc/group"
    install -d -m 700 -o 65532 -g 65532 "$tree/runtime/home/nonroot"
    import "$tree/runtime" "$runtime" "USER 65532" "WORKDIR /home/nonroot" "ENV PATH=/usr/local/bin:/usr/bin"
fi
