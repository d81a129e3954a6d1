#!/usr/bin/env bash
# pip install into an environment, with the versions of dev.lock. On Linux torch is its CPU build, for PyPI's has several GB
# of CUDA with it; TORCH=cuda takes that one. A torch that is there stays.
#   requirements/install.sh VENV ARGUMENTS...
set -euo pipefail
pip=$1/bin/pip lock=$(dirname "$0")/dev.lock
shift
install() { "$pip" install --disable-pip-version-check --constraint "$lock" "$@"; }
if [ "$(uname -s)-${TORCH:-cpu}" = Linux-cpu ] && ! "$pip" show --quiet torch 2>/dev/null; then
    torch=$(sed -n 's/^\(torch==[^ ]*\).*/\1+cpu/p' "$lock")
    # It is on no index of PyPI: pip's own settings may know a place; else it comes from PyTorch's site.
    install "$torch" 2>/dev/null || install --find-links https://download.pytorch.org/whl/cpu/torch/ "$torch" || {
        echo "install.sh: error: pip finds no $torch, see above; TORCH=cuda takes the build for GPUs, several GB" >&2
        exit 1
    }
fi
install "$@"
