#!/bin/sh
# Whether the kernels touch what is not theirs: their tests again with memory that ends, and that begins, at a page
# which nobody may touch, and under what finds more.
#
#   tests/memory.sh guard    the pages: seconds, part of ./x test in CI
#   tests/memory.sh full     also valgrind (portable and AVX2 kernels; it knows no AVX-512), AddressSanitizer and Miri;
#                            the last two need a nightly Rust and say NOT RUN where there is none
#
# Called by x, which has put Rust in the PATH.
set -eu
cd "$(dirname "$0")/.."
failed=0
target=${CARGO_TARGET_DIR:-target}
said=$target/x/memory.log
mkdir -p "$target/x"

run() { # NAME COMMAND...: what it says is shown only when it fails
    name=$1
    shift
    if "$@" >"$said" 2>&1 && tests=$(grep -c '^test kernels::.* ok$' "$said"); then
        echo "$name: $tests tests passed"
    else
        cat "$said"
        echo "$name: FAILED"
        failed=1
    fi
}
kernels() { cargo test --release --workspace --lib --locked -- kernels::; }
with_guard() { LIMEN_GUARD=$1 kernels; }
with_valgrind() {
    memcheck="valgrind -q --error-exitcode=9 --suppressions=$PWD/tests/valgrind.supp"
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=$memcheck CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$memcheck kernels
}
has_nightly() { cargo +nightly -V >/dev/null 2>&1; }
with_sanitizer() {
    RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$target/asan \
        cargo +nightly test --release -p limen-models --lib --locked --target "$(uname -m)-unknown-linux-gnu" -- kernels::
}
# The portable kernels alone: Miri knows few vector instructions.
with_miri() { CARGO_TARGET_DIR=$target/miri cargo +nightly miri test -p limen-models --lib --locked -- kernels::int8::dot; }

run 'memory that ends at a guard page' with_guard end
run 'memory that begins at a guard page' with_guard start
if [ "${1:-}" = full ]; then
    if command -v valgrind >/dev/null; then
        run valgrind with_valgrind
    else
        echo 'valgrind: NOT RUN (apt-get install valgrind)'
    fi
    if has_nightly; then
        run AddressSanitizer with_sanitizer
    else
        echo 'AddressSanitizer: NOT RUN, there is no nightly Rust here (rustup toolchain install nightly)'
    fi
    if has_nightly && cargo +nightly miri --version >/dev/null 2>&1; then
        run Miri with_miri
    else
        echo 'Miri: NOT RUN, there is no nightly Rust with Miri here (rustup component add --toolchain nightly miri)'
    fi
fi
exit "$failed"
